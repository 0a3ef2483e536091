"""One room: who is in, who waits, what is shared, whether it is recorded. Messages in, effects out; no I/O, no clock.

Owns who comes and goes and who may do what; the rules of doors, recording and table are in files of their own.
`live_room.py` carries the effects out, in order. now_ms is ms since this object was made; what people and the
application see is the room's clock, ms since the consultation's start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from signaling import events
from signaling import messages as wire
from signaling.announcements import about, end_reason, knock_gone, knocks_heard_by, lobby_news, to_present
from signaling.doors import may_enter, refuse_if_full
from signaling.effects import (
    AcceptOffer,
    CloseMedia,
    CloseSocket,
    DropMedia,
    Effect,
    Send,
    Tell,
)
from signaling.errors import (
    MemberUnknown,
    MessageOutOfOrder,
    NotGranted,
    RoomFull,
    VersionUnsupported,
)
from signaling.line_watch import LineWatch
from signaling.muting import mute, unmute
from signaling.recording_switch import RecordingSwitch
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Place, Roster
from signaling.screen import SharedScreen
from signaling.table import Table
from signaling.ticket import Grant, RoomId, Seat

GRACE_MS = 45_000  # how long a lost member is still shown and counted
LOBBY_GRACE_MS = 10_000
IDLE_MS = 600_000
MAX_KNOCKS_AGAIN = 3

_GRANT_FOR: dict[type, Grant] = {
    wire.Admit: Grant.HOST,
    wire.Refuse: Grant.HOST,
    wire.SetRecording: Grant.HOST,
    wire.End: Grant.HOST,
    wire.Offer: Grant.PUBLISH,
    wire.Show: Grant.SHOW,
    wire.Mute: Grant.HOST,
}


class Room:
    def __init__(self, room_id: RoomId, *, wall_at_zero_ms: int, new_id: Callable[[], str]) -> None:
        """wall_at_zero_ms: ms since 1970 UTC at now_ms 0. new_id: makes the ids of events."""
        self.room_id = room_id
        self.closed: str | None = None
        self._clock = RoomClock(room_id, wall_at_zero_ms, new_id)
        self._roster = Roster()
        self._recording = RecordingSwitch(self._roster, self._clock)
        self._table = Table(self._roster, self._clock)
        self._screen = SharedScreen(self._roster, self._clock)
        self._lines = LineWatch(self._roster, self._clock)
        self._refusals: Counter[str] = Counter()  # by person
        self._reopened_ms: int | None = None  # on the room's clock; None: this room has forgotten nothing
        self._empty_since_ms: int | None = 0

    # Clock ---------------------------------------------------------------------------------------------------------

    def clock_ms(self, now_ms: int) -> int:
        """Return ms since the consultation's start; 0 before it."""
        return self._clock.at_ms(now_ms)

    def started_at(self) -> str:
        """The consultation's start, ISO 8601; empty before it."""
        return self._clock.started_at()

    def next_deadline_ms(self) -> int | None:
        """When `tick` has something to do next."""
        deadlines = [self._grace_ends_ms(one) for one in self._roster.attendees.values()]
        deadlines.append(self._table.settles_at_ms())
        if self._recording.on:
            deadlines.append(self._recording.hosted_until_ms())
        if self._empty_since_ms is not None and self.closed is None:
            deadlines.append(self._empty_since_ms + IDLE_MS)
        return min((one for one in deadlines if one is not None), default=None)

    def tick(self, now_ms: int) -> list[Effect]:
        """Carry out what was left for later: graces that ended, the View that settled, a room that nobody uses."""
        if self.closed is not None:
            return []
        effects = self._table.tick(now_ms)
        for attendee in [*self._roster.waiting(), *self._roster.inside()]:
            ends = self._grace_ends_ms(attendee)
            if ends is not None and ends <= now_ms:
                effects += self._go(attendee, "lost", now_ms)
        effects += self._settle(now_ms)
        if self._empty_since_ms is not None and now_ms - self._empty_since_ms >= IDLE_MS:
            effects += self.close("idle", now_ms)
        return effects

    # Coming and going ----------------------------------------------------------------------------------------------

    def arrive(self, seat: Seat, now_ms: int) -> list[Effect]:
        """Give a seat its place: in the room, or in the lobby. A known member's new socket replaces the old one.

        Raises RoomFull or LobbyFull, and nothing has changed then.
        """
        if self.closed is not None:
            return [CloseSocket(seat.member_id, end_reason(self.closed))]
        if self._refusals[seat.person_id] > MAX_KNOCKS_AGAIN:
            return [CloseSocket(seat.member_id, "refused")]
        known = self._roster.attendees.get(seat.member_id)
        came_back = known is not None and known.place is not Place.AWAY
        if not came_back:
            started = self._clock.started or seat.started_at_ms is not None
            refuse_if_full(self._roster, seat, known, started=started)
        if seat.started_at_ms is not None and not self._clock.started:
            self._clock.start(now_ms, started_at_ms=seat.started_at_ms)
            self._reopened_ms = self.clock_ms(now_ms)
            self._recording.control.wanted = not seat.paused
        attendee = self._roster.take_in(seat)
        attendee.connected, attendee.lost_at_ms = True, None
        attendee.waiting_told = None
        self._empty_since_ms = None
        self._recording.control.remember(attendee)
        if attendee.place is Place.INSIDE:
            return self._return(attendee, now_ms)
        if self._may_enter(attendee):
            return self._enter(attendee, now_ms) + self._settle(now_ms)
        effects: list[Effect] = []
        if attendee.place is Place.AWAY:
            attendee.place = Place.LOBBY
            effects.append(Tell(events.MemberWaiting(**self._clock.fact(now_ms), **about(attendee))))
        return effects + self._settle(now_ms)

    def disconnect(self, member_id: str, now_ms: int) -> list[Effect]:
        """Keep the place of a member whose socket broke, for a while."""
        attendee = self._roster.attendees.get(member_id)
        if attendee is None or not attendee.connected or self.closed is not None:
            return []
        attendee.connected, attendee.lost_at_ms = False, now_ms
        effects: list[Effect] = []
        if attendee.place is Place.INSIDE:
            if not self._recording.control.has_consented(attendee):
                # Their sound and picture may outlive the socket, and who is not present is not asked.
                effects.append(DropMedia(member_id))
            effects += to_present(self._roster, wire.Changed(self._roster.as_member(attendee)))
        effects += self._settle(now_ms)
        self._note_whether_empty(now_ms)
        return effects

    def remove_person(self, person_id: str, reason: str, now_ms: int) -> list[Effect]:
        """Every device of a person goes, and must be admitted again if it comes back. reason: removed or expired."""
        effects: list[Effect] = []
        for attendee in list(self._roster.attendees.values()):
            if attendee.person_id != person_id or self.closed is not None:
                continue
            attendee.admitted = False
            if attendee.place is not Place.AWAY:
                effects += self._go(attendee, reason, now_ms, told="expired" if reason == "expired" else "removed")
        return effects + self._settle(now_ms)

    def close(self, reason: str, now_ms: int) -> list[Effect]:
        """End the consultation for everybody. reason: ended, idle, or the application's word."""
        effects = self._close_for_all(end_reason(reason), "ended", now_ms)
        self.closed = reason
        if self._clock.started and effects:
            effects.append(Tell(events.RoomClosed(**self._clock.fact(now_ms), reason=reason)))
        return effects

    def suspend(self, now_ms: int) -> list[Effect]:
        """This process stops; everybody comes back by themselves, to the same seats."""
        effects = self._close_for_all("restarting", "lost", now_ms)
        self.closed = "restarting"
        return effects

    # Messages ------------------------------------------------------------------------------------------------------

    def receive(self, member_id: str, message: wire.FromBrowser, now_ms: int) -> list[Effect]:
        """Carry out what a member sent. Raises MessageOutOfOrder, NotGranted and what the rule at hand says."""
        attendee = self._roster.attendees.get(member_id)
        if attendee is None or not attendee.connected or isinstance(message, wire.Hello):
            raise MessageOutOfOrder(type(message).__name__)
        match message:
            case wire.Ping():
                return [Send((member_id,), wire.Pong(message.n))]
            case wire.SetDevices():
                return self._set_devices(attendee, message)
            case wire.Leave():
                return [*self._go(attendee, "left", now_ms), *self._settle(now_ms)]
        if attendee.place is not Place.INSIDE:
            raise MessageOutOfOrder(type(message).__name__)
        needed = _GRANT_FOR.get(type(message))
        if needed is not None and needed not in attendee.seat.grants:
            raise NotGranted(needed.value)
        return self._receive_inside(attendee, message, now_ms)

    def _receive_inside(self, attendee: Attendee, message: wire.FromBrowser, now_ms: int) -> list[Effect]:
        match message:
            case wire.Point():
                pointed = wire.Pointed(attendee.member_id, message.x, message.y, message.visible)
                return to_present(self._roster, pointed, besides=attendee)
            case wire.Show():
                return self._table.show(attendee, message, now_ms)
            case wire.Offer():
                return [AcceptOffer(attendee.as_media_member(), message.sdp, message.attempt)]
            case wire.AskIceServers():
                return [Send((attendee.member_id,), wire.IceServers())]  # filled in where they are minted
            case wire.Say():
                return self._table.say(attendee, message, now_ms)
            case wire.SetConsent():
                return self._set_consent(attendee, message, now_ms)
            case wire.SetRecording():
                self._recording.control.want(message.wanted)
                return self._settle(now_ms)
            case wire.Recall():
                return self._recall(attendee, message, now_ms)
            case wire.ShareScreen():
                return self._screen.ask(attendee, message, now_ms)
            case wire.Quality():
                return self._lines.note(attendee, message, now_ms)
            case wire.Mute():
                return mute(self._roster, self._clock, attendee, message.member_id, now_ms)
            case wire.Unmute():
                return unmute(self._roster, self._clock, attendee, now_ms)
            case wire.Admit():
                return self._admit(attendee, message.member_id, now_ms)
            case wire.Refuse():
                return self._refuse(message.member_id, now_ms)
            case wire.End():
                return self.close("ended", now_ms)
        raise MessageOutOfOrder(type(message).__name__)

    def media_slots(self, member_id: str, attempt: int, slots: tuple[wire.Slot, ...]) -> list[Effect]:
        attendee = self._roster.attendees.get(member_id)
        return [Send((member_id,), wire.Slots(attempt, slots))] if attendee is not None and attendee.present else []

    def media_answer(self, member_id: str, attempt: int, sdp: str) -> list[Effect]:
        """Pass the answer on; a member who went in the meantime loses the connection that was just made."""
        attendee = self._roster.attendees.get(member_id)
        if attendee is None or attendee.place is not Place.INSIDE or self.closed is not None:
            return [DropMedia(member_id)]
        return [Send((member_id,), wire.Answer(sdp, attempt))] if attendee.connected else []

    def recording_failed(self, now_ms: int) -> list[Effect]:
        self._recording.control.failed = True
        return self._settle(now_ms)

    # Rules ---------------------------------------------------------------------------------------------------------

    def _may_enter(self, attendee: Attendee) -> bool:
        return may_enter(self._roster, attendee, started=self._clock.started)

    def _enter(self, attendee: Attendee, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        if attendee.place is Place.LOBBY:
            effects += knock_gone(self._roster, attendee)
        attendee.place, attendee.waiting_told = Place.INSIDE, None
        attendee.admitted = True
        if not attendee.connected:
            attendee.lost_at_ms = now_ms
        if not self._clock.started:
            self._clock.start(now_ms)
            effects.append(Tell(events.RoomOpened(**self._clock.fact(now_ms))))
        # A newcomer who has not consented pauses the recording before anything else happens.
        effects += self._recording.assess(now_ms, besides=attendee)
        if attendee.connected:
            effects.append(self._welcome(attendee, now_ms))
        effects += to_present(self._roster, wire.Joined(self._roster.as_member(attendee)), besides=attendee)
        effects.append(Tell(events.MemberJoined(**self._clock.fact(now_ms), **about(attendee))))
        return effects

    def _return(self, attendee: Attendee, now_ms: int) -> list[Effect]:
        effects = self._recording.assess(now_ms, besides=attendee)
        effects.append(self._welcome(attendee, now_ms))
        effects += to_present(self._roster, wire.Changed(self._roster.as_member(attendee)), besides=attendee)
        return effects + self._settle(now_ms)

    def _go(self, attendee: Attendee, reason: str, now_ms: int, *, told: wire.EndReason | None = None) -> list[Effect]:
        """Take a place away. told: what the member hears at last; None after their own goodbye."""
        effects: list[Effect] = []
        was, was_connected = attendee.place, attendee.connected
        if was is Place.LOBBY:
            effects += knock_gone(self._roster, attendee)
        attendee.place, attendee.connected, attendee.lost_at_ms = Place.AWAY, False, None
        attendee.waiting_told, attendee.microphone, attendee.camera, attendee.muted = None, False, False, False
        self._lines.forget(attendee)
        if was_connected:
            effects.append(CloseSocket(attendee.member_id, told))
        if was is Place.INSIDE:
            effects += self._screen.leave(attendee, now_ms)
            effects.append(DropMedia(attendee.member_id))
            effects += to_present(self._roster, wire.Left(attendee.member_id, reason))
        if was is not Place.AWAY:
            effects.append(Tell(events.MemberLeft(**self._clock.fact(now_ms), **about(attendee), reason=reason)))
        self._note_whether_empty(now_ms)
        return effects

    def _admit(self, host: Attendee, member_id: str, now_ms: int) -> list[Effect]:
        attendee = self._waiting(member_id)
        first_devices = self._roster.other_devices(attendee)
        seats_freed = sum(1 for one in first_devices if one.place is Place.INSIDE)
        if self._roster.is_full(freed=seats_freed):
            raise RoomFull(member_id)
        attendee.admitted = True
        effects: list[Effect] = [
            Tell(events.MemberAdmitted(**self._clock.fact(now_ms), **about(attendee), by=host.member_id))
        ]
        for device in first_devices:
            device.admitted = False
            effects += self._go(device, "superseded", now_ms, told="superseded")
        return [*effects, *self._enter(attendee, now_ms), *self._settle(now_ms)]

    def _refuse(self, member_id: str, now_ms: int) -> list[Effect]:
        attendee = self._waiting(member_id)
        attendee.admitted = False
        self._refusals[attendee.person_id] += 1
        return [*self._go(attendee, "refused", now_ms, told="refused"), *self._settle(now_ms)]

    def _waiting(self, member_id: str) -> Attendee:
        attendee = self._roster.attendees.get(member_id)
        if attendee is None or attendee.place is not Place.LOBBY:
            raise MemberUnknown(member_id)
        return attendee

    def _set_devices(self, attendee: Attendee, message: wire.SetDevices) -> list[Effect]:
        attendee.microphone, attendee.camera = message.microphone, message.camera
        if attendee.place is not Place.INSIDE:
            return []
        return to_present(self._roster, wire.Changed(self._roster.as_member(attendee)), besides=attendee)

    def _set_consent(self, attendee: Attendee, message: wire.SetConsent, now_ms: int) -> list[Effect]:
        if message.given and message.wording != wire.CONSENT_WORDING:
            raise VersionUnsupported("wording")  # a yes to another sentence is not a yes to this one
        if not self._recording.control.answer(attendee.person_id, message.given):
            return []
        kind = events.ConsentGiven if message.given else events.ConsentRefused
        told = Tell(kind(**self._clock.fact(now_ms), **about(attendee), wording=message.wording))
        return [told, *self._settle(now_ms)]

    def _recall(self, attendee: Attendee, message: wire.Recall, now_ms: int) -> list[Effect]:
        """Take up what a page saw before this room had to open again; at any other time it is no news."""
        if self._reopened_ms is None or message.at_ms > self._reopened_ms:
            return []
        effects: list[Effect] = []
        if Grant.SHOW in attendee.seat.grants:
            effects += self._table.recall(attendee, message.view, now_ms)
        return effects + self._recording.recall(min(message.on_ms, message.at_ms), now_ms)

    # What follows from a change ------------------------------------------------------------------------------------

    def _settle(self, now_ms: int) -> list[Effect]:
        """Return what follows from who is here now: recording first, then the lobby."""
        if self.closed is not None:
            return []
        effects = self._recording.assess(now_ms)
        for attendee in self._roster.waiting():
            if self._may_enter(attendee):
                effects += self._enter(attendee, now_ms)
        for attendee in self._roster.waiting():
            effects += lobby_news(self._roster, attendee)
        return effects

    def _welcome(self, attendee: Attendee, now_ms: int) -> Send:
        welcome = wire.Welcome(
            member_id=attendee.member_id,
            now_ms=self.clock_ms(now_ms),
            started_at=self.started_at(),
            members=tuple(self._roster.as_member(one) for one in self._roster.inside()),
            knocks=knocks_heard_by(self._roster, attendee),
            view=self._table.view,
            view_by=self._table.view_by,
            recording=self._recording.shown(now_ms),
            chat=self._table.chat_lines(),
            reopened_ms=self._reopened_ms,
            screen=self._screen.by,
            ice_servers=(),  # the live room's to fill in: they are minted per socket
        )
        return Send((attendee.member_id,), welcome)

    def _close_for_all(self, told: wire.EndReason, left: str, now_ms: int) -> list[Effect]:
        if self.closed is not None:
            return []
        effects = self._table.close(now_ms) + self._screen.close(now_ms)
        for attendee in [*self._roster.waiting(), *self._roster.inside()]:
            if attendee.connected:
                effects.append(CloseSocket(attendee.member_id, told))
            attendee.place, attendee.connected, attendee.lost_at_ms = Place.AWAY, False, None
            effects.append(Tell(events.MemberLeft(**self._clock.fact(now_ms), **about(attendee), reason=left)))
        effects += self._recording.assess(now_ms)
        return [*effects, CloseMedia()]

    # Small parts ---------------------------------------------------------------------------------------------------

    def _grace_ends_ms(self, attendee: Attendee) -> int | None:
        if attendee.lost_at_ms is None:
            return None
        return attendee.lost_at_ms + (GRACE_MS if attendee.place is Place.INSIDE else LOBBY_GRACE_MS)

    def _note_whether_empty(self, now_ms: int) -> None:
        if self._empty_since_ms is None and not self._roster.anybody_connected():
            self._empty_since_ms = now_ms
