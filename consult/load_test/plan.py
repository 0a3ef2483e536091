"""What an operator asked for, and whom it takes: throw-away rooms whose id says what they are, and seats in them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

from signaling.ticket import LIFETIME_S, LOAD_TEST_ROOMS, Grant, MemberId, PersonId, Role, RoomId, Seat

MAX_CONSULTATIONS, MAX_SECONDS = 500, 600
MIN_PARTICIPANTS, MAX_PARTICIPANTS = 2, 6  # a room holds six


@dataclass(frozen=True, slots=True)
class Plan:
    """url: of the installation. origin, host: of its public address, as its own pages would send them.

    address: of this machine, for media; None: whichever leads to the installation.
    """

    url: str
    origin: str
    host: str
    consultations: int
    participants: int
    seconds: float
    record: bool
    address: str | None


def make_seats(plan: Plan) -> Iterator[list[Seat]]:
    """Yield the seats of each room, the host's first; see until_soon() for how long they are good."""
    run = secrets.token_hex(6)
    for room in range(plan.consultations):
        yield [_seat(RoomId(f"{LOAD_TEST_ROOMS}{run}-{room}"), number) for number in range(plan.participants)]


def _seat(room_id: RoomId, number: int) -> Seat:
    identity = f"load-{secrets.token_hex(6)}"
    return Seat(
        room_id=room_id,
        member_id=MemberId(identity),
        person_id=PersonId(identity),
        name=f"Load test {number + 1}",
        role=Role.PATIENT if number else Role.EXPERT,
        grants=(Grant.PUBLISH,) if number else (Grant.HOST, Grant.PUBLISH),
        admitted=True,
        consented=False,
        started_at_ms=None,
        expires_at=0,
    )


def until_soon(seat: Seat, now_s: float) -> Seat:
    """Return the seat, good for as long as a browser's. now_s: since 1970."""
    return replace(seat, expires_at=int(now_s) + LIFETIME_S)
