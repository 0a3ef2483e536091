"""Who hears what about the people in a room and its lobby: messages made from the roster, pure, no I/O."""

from __future__ import annotations

from typing import Any, get_args

from signaling import messages as wire
from signaling.effects import Effect, Send
from signaling.roster import Attendee, Roster


def to_present(roster: Roster, message: wire.ToBrowser, *, besides: Attendee | None = None) -> list[Effect]:
    """A message to everybody who is in and connected."""
    to = tuple(one.member_id for one in roster.present() if one is not besides)
    return [Send(to, message)] if to else []


def lobby_news(roster: Roster, attendee: Attendee) -> list[Effect]:
    """What changed for somebody who waits, to them and to those who hear their knock."""
    effects: list[Effect] = []
    member = roster.as_member(attendee)
    waiting = wire.Waiting(member.member_id, roster.host_present(), member.second_device, roster.is_full_for(attendee))
    if attendee.connected and waiting != attendee.waiting_told:
        attendee.waiting_told = waiting
        effects.append(Send((attendee.member_id,), waiting))
    audience = roster.knock_audience(attendee)
    if member != attendee.knock_told:
        attendee.knock_told = member
        if audience:
            effects.append(Send(audience, wire.Knock(member)))
    return effects


def knock_gone(roster: Roster, attendee: Attendee) -> list[Effect]:
    attendee.knock_told = None
    audience = roster.knock_audience(attendee)
    return [Send(audience, wire.KnockGone(attendee.member_id))] if audience else []


def knocks_heard_by(roster: Roster, attendee: Attendee) -> tuple[wire.Member, ...]:
    """Those who wait, as somebody who just came in would have heard them knock."""
    waiting = (one for one in roster.waiting() if attendee.member_id in roster.knock_audience(one))
    return tuple(roster.as_member(one) for one in waiting)


def about(attendee: Attendee) -> dict[str, Any]:
    """What every event about a member has."""
    seat = attendee.seat
    return {
        "member_id": seat.member_id,
        "person_id": seat.person_id,
        "name": seat.name,
        "role": seat.role.value,
    }


def end_reason(reason: str) -> wire.EndReason:
    """What browsers hear when the room closes for a reason of the application's."""
    known: tuple[wire.EndReason, ...] = get_args(wire.EndReason)
    return next((one for one in known if one == reason), "ended")
