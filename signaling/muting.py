"""A host silences somebody, who may speak again whenever they want: what follows for all, pure, no I/O.

Until then not a sound of theirs is forwarded or recorded, whatever their page sends.
"""

from __future__ import annotations

from signaling import events
from signaling import messages as wire
from signaling.announcements import about, to_present
from signaling.effects import Effect, Send, Silence, Tell
from signaling.errors import MemberUnknown
from signaling.room_clock import RoomClock
from signaling.roster import Attendee, Place, Roster


def mute(roster: Roster, clock: RoomClock, host: Attendee, member_id: str, now_ms: int) -> list[Effect]:
    """Raises MemberUnknown unless somebody else with that id is in the room."""
    attendee = roster.attendees.get(member_id)
    if attendee is None or attendee.place is not Place.INSIDE or attendee is host:
        raise MemberUnknown(member_id)
    if attendee.muted:
        return []
    attendee.muted = True
    effects: list[Effect] = [Silence(member_id, on=True)]
    effects += to_present(roster, wire.Changed(roster.as_member(attendee)))
    if attendee.connected:
        effects.append(Send((member_id,), wire.Muted(host.member_id)))
    return [*effects, Tell(events.MemberMuted(**clock.fact(now_ms), **about(attendee), by=host.member_id))]


def unmute(roster: Roster, clock: RoomClock, attendee: Attendee, now_ms: int) -> list[Effect]:
    """The person speaks again; at any other time it is no news."""
    if not attendee.muted:
        return []
    attendee.muted = False
    effects: list[Effect] = [Silence(attendee.member_id, on=False)]
    effects += to_present(roster, wire.Changed(roster.as_member(attendee)))
    return [*effects, Tell(events.MemberUnmuted(**clock.fact(now_ms), **about(attendee)))]
