"""The one screen of a room that somebody shows to all: who may begin, who may stop it; pure, no I/O.

It is a track beside the sharer's camera; that it flows, and is recorded, is the media's business (`ShareScreen`).
"""

from __future__ import annotations

from signaling import events
from signaling import messages as wire
from signaling.announcements import about, to_present
from signaling.effects import Effect, ShareScreen, Tell
from signaling.errors import NotGranted, ScreenTaken
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Roster
from signaling.ticket import Grant


class SharedScreen:
    """by: the member whose screen everybody sees, None if nobody's."""

    def __init__(self, roster: Roster, clock: RoomClock) -> None:
        self.by: str | None = None
        self._roster = roster
        self._clock = clock

    def ask(self, attendee: Attendee, message: wire.ShareScreen, now_ms: int) -> list[Effect]:
        """Begin, or stop: one's own, a host anybody's. Raises ScreenTaken, NotGranted."""
        if message.wanted:
            return self._begin(attendee, now_ms)
        if self.by not in (None, attendee.member_id) and not attendee.hosts:
            raise NotGranted(Grant.HOST.value)
        return self.stop(now_ms)

    def stop(self, now_ms: int) -> list[Effect]:
        if self.by is None:
            return []
        told = self.close(now_ms)
        return [ShareScreen(None), *to_present(self._roster, wire.ScreenChanged(None)), *told]

    def leave(self, attendee: Attendee, now_ms: int) -> list[Effect]:
        """A screen goes with the one who shows it."""
        return self.stop(now_ms) if self.by == attendee.member_id else []

    def close(self, now_ms: int) -> list[Effect]:
        """The room closes: pages that come back show it again by themselves, so only the application is told."""
        sharer = self._roster.attendees.get(self.by) if self.by is not None else None
        self.by = None
        return [] if sharer is None else [Tell(events.ScreenStopped(**self._clock.fact(now_ms), **about(sharer)))]

    def _begin(self, attendee: Attendee, now_ms: int) -> list[Effect]:
        if Grant.PUBLISH not in attendee.seat.grants:
            raise NotGranted(Grant.PUBLISH.value)
        if self.by is not None and self.by != attendee.member_id:
            raise ScreenTaken(self.by)
        if self.by == attendee.member_id:
            return to_present(self._roster, wire.ScreenChanged(self.by))
        self.by = attendee.member_id
        told = Tell(events.ScreenShared(**self._clock.fact(now_ms), **about(attendee)))
        return [ShareScreen(self.by), *to_present(self._roster, wire.ScreenChanged(self.by)), told]
