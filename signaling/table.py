"""What lies on the table of a room, for all: the View, the chat. Changes become effects; pure, no I/O.

The data themselves are in shared.py. Who may change them is `room.py`'s to say.
"""

from __future__ import annotations

import dataclasses

from signaling import events
from signaling import messages as wire
from signaling.announcements import about, to_present
from signaling.effects import Effect, Send, Tell
from signaling.errors import MessageMalformed
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Roster
from signaling.shared import Chat, SharedView, Shown


class Table:
    def __init__(self, roster: Roster, clock: RoomClock) -> None:
        self._roster = roster
        self._clock = clock
        self._view = SharedView()
        self._chat = Chat()

    @property
    def view(self) -> wire.View:
        return self._view.view

    @property
    def view_by(self) -> str | None:
        return self._view.by

    def chat_lines(self) -> tuple[wire.ChatLine, ...]:
        return self._chat.lines()

    def show(self, attendee: Attendee, message: wire.Show, now_ms: int) -> list[Effect]:
        self._view.show(message.view, attendee.member_id, now_ms)
        effects = to_present(self._roster, wire.ViewChanged(message.view, attendee.member_id, message.revision))
        return effects + self._tell(self._view.settled(now_ms))

    def recall(self, attendee: Attendee, view: wire.View, now_ms: int) -> list[Effect]:
        """Show again what was on screen before this room had to open again; a host's word counts most."""
        if not self._view.recall(view, attendee.member_id, now_ms, leads=attendee.hosts):
            return []
        effects = to_present(self._roster, wire.ViewChanged(view, attendee.member_id, 0))
        return effects + self._tell(self._view.settled(now_ms))

    def say(self, attendee: Attendee, message: wire.Say, now_ms: int) -> list[Effect]:
        """Keep a line and pass it on, once. Raises MessageMalformed if there is nothing in it."""
        said = self._chat.find(attendee.person_id, message.line_id)
        if said is not None:
            return [Send((attendee.member_id,), wire.Said(said))]
        text = message.text.strip()
        if not text:
            raise MessageMalformed("blank")
        seat, at_ms = attendee.seat, self._clock.at_ms(now_ms)
        line = wire.ChatLine(message.line_id, seat.member_id, seat.name, seat.role, text, at_ms)
        self._chat.keep(attendee.person_id, line)
        told = events.ChatSaid(**self._clock.fact(now_ms), **about(attendee), line_id=line.line_id, text=text)
        return [*to_present(self._roster, wire.Said(line)), Tell(told)]

    def settles_at_ms(self) -> int | None:
        return self._view.settles_at_ms()

    def tick(self, now_ms: int) -> list[Effect]:
        """Tell the application of the View that settled."""
        return self._tell(self._view.settled(now_ms))

    def close(self, now_ms: int) -> list[Effect]:
        return self._tell(self._view.flush(now_ms))

    def _tell(self, shown: Shown | None) -> list[Effect]:
        if shown is None:
            return []
        fact = self._clock.fact(shown.shown_at_ms)
        return [Tell(events.ViewShown(**fact, by=shown.by, **dataclasses.asdict(shown.view)))]
