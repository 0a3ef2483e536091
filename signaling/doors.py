"""Who may come in without being asked, and who has to wait: the rules of a room's doors, pure, no I/O."""

from __future__ import annotations

from signaling.errors import LobbyFull, RoomFull
from signaling.roster import MAX_WAITING, Attendee, Place, Roster
from signaling.ticket import Grant, Seat


def refuse_if_full(roster: Roster, seat: Seat, known: Attendee | None, *, started: bool) -> None:
    """Raises RoomFull or LobbyFull if there is no place for a seat. started: whether the consultation has."""
    admitted = seat.admitted if known is None else known.admitted
    here = any(
        one.person_id == seat.person_id and one.member_id != seat.member_id and one.place is not Place.AWAY
        for one in roster.attendees.values()
    )
    if not here and (Grant.HOST in seat.grants or (admitted and started)):
        if roster.is_full():
            raise RoomFull(seat.member_id)
    elif len(roster.waiting()) >= MAX_WAITING:
        raise LobbyFull(seat.member_id)


def may_enter(roster: Roster, attendee: Attendee, *, started: bool) -> bool:
    """Whether somebody who is not inside needs nobody's leave to enter."""
    if roster.is_second_device(attendee) or roster.is_full():
        return False
    return attendee.hosts or (attendee.admitted and started)
