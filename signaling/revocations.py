"""Tickets that were good when they were signed and are not any more.

A command removes people who are in a room; somebody may still hold a ticket that lives for up to a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from signaling.events import CloseRoom, RemovePerson, RoomCommand
from signaling.messages import EndReason
from signaling.ticket import LIFETIME_S, Seat


@dataclass(slots=True)
class Revocations:
    """By room and person (None: everybody): tickets that end at or before that second are refused, for that reason."""

    _refused: dict[tuple[str, str | None], tuple[int, EndReason]] = field(default_factory=dict)

    def note(self, command: RoomCommand, *, now_s: float) -> None:
        until_s = int(now_s) + LIFETIME_S
        self._refused = {who: entry for who, entry in self._refused.items() if entry[0] >= now_s}
        match command:
            case CloseRoom(room_id=room_id, reason=reason):
                self._refused[room_id, None] = (until_s, "cancelled" if reason == "cancelled" else "ended")
            case RemovePerson(room_id=room_id, person_id=person_id, reason=reason):
                self._refused[room_id, person_id] = (until_s, "expired" if reason == "expired" else "removed")

    def reason(self, seat: Seat) -> EndReason | None:
        """Return why a seat is refused, or None."""
        for person_id in (None, seat.person_id):
            until_s, reason = self._refused.get((seat.room_id, person_id), (0, "ended"))
            if seat.expires_at <= until_s:
                return reason
        return None
