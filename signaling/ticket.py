"""A Seat is the right to sit in one room as somebody; a ticket is a Seat, signed, good for a minute.

Owns signing and checking. Who deserves a seat is decided elsewhere, before `sign` is called.
Format: base64url(JSON) "." base64url(HMAC-SHA-256 of the first part), no padding.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from signaling.errors import TicketExpired, TicketInvalid

RoomId = NewType("RoomId", str)
MemberId = NewType("MemberId", str)
PersonId = NewType("PersonId", str)

LIFETIME_S = 60
MAX_TICKET_CHARS = 4096
LOAD_TEST_ROOMS = "load-test-"  # how ids of rooms begin that an operator fills to try the installation


class Role(StrEnum):
    PATIENT = "patient"
    EXPERT = "expert"
    SCHEDULER = "scheduler"
    PHYSICIAN = "physician"
    INTERPRETER = "interpreter"
    CAREGIVER = "caregiver"


class Grant(StrEnum):
    HOST = "host"  # admits, refuses, pauses the recording, ends the call
    PUBLISH = "publish"  # sends sound and picture
    SHOW = "show"  # moves the shared View


@dataclass(frozen=True, slots=True)
class Seat:
    """member_id: one device (the same after a reload); person_id: the person behind it, on whatever device.

    admitted, consented: what was so before this socket, so that a reload or a restarted server asks nobody twice.
    paused: the host had paused the recording; only a room that is opened again asks.
    started_at_ms: the consultation's start, ms since 1970 UTC, or None if it has not started.
    expires_at: s since 1970 UTC.
    """

    room_id: RoomId
    member_id: MemberId
    person_id: PersonId
    name: str
    role: Role
    grants: tuple[Grant, ...]
    admitted: bool
    consented: bool
    started_at_ms: int | None
    expires_at: int
    paused: bool = False


def is_load_test(room_id: str) -> bool:
    """Whether a room holds nobody real: nothing of it is written down or kept."""
    return room_id.startswith(LOAD_TEST_ROOMS)


def sign(seat: Seat, key: bytes) -> str:
    """Return the ticket for a seat. key: ≥32 bytes, the same in every process."""
    body = _encode(json.dumps(asdict(seat), separators=(",", ":")).encode())
    return f"{body}.{_encode(_mac(body, key))}"


def verify(ticket: str, key: bytes, *, now: datetime) -> Seat:
    """Return the Seat that a ticket stands for.

    Raises TicketInvalid if it was not signed with key, TicketExpired if now is past its end.
    """
    body, dot, signature = ticket.partition(".")
    if not dot or len(ticket) > MAX_TICKET_CHARS:
        raise TicketInvalid("shape")
    try:
        if not hmac.compare_digest(_decode(signature), _mac(body, key)):
            raise TicketInvalid("signature")
        fields = json.loads(_decode(body))
        seat = Seat(
            **{
                **fields,
                "role": Role(fields["role"]),
                "grants": tuple(Grant(grant) for grant in fields["grants"]),
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise TicketInvalid(type(error).__name__) from None
    if now.timestamp() > seat.expires_at:
        raise TicketExpired(seat.member_id)
    return seat


def _mac(body: str, key: bytes) -> bytes:
    return hmac.new(key, b"consult-seat-1:" + body.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
