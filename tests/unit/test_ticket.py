"""Tickets: only what we signed, only for a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.errors import TicketExpired, TicketInvalid
from signaling.events import CloseRoom, RemovePerson
from signaling.revocations import Revocations
from signaling.ticket import LIFETIME_S, MAX_TICKET_CHARS, Grant, MemberId, PersonId, Role, RoomId, Seat, sign, verify

KEY = b"k" * 32
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEAT = Seat(
    RoomId("room"),
    MemberId("m"),
    PersonId("person:1"),
    "Ana Núñez ✓",
    Role.PATIENT,
    (Grant.PUBLISH, Grant.SHOW),
    True,
    False,
    1_700_000_000_000,
    int(NOW.timestamp()) + LIFETIME_S,
)


def test_a_ticket_brings_back_its_seat() -> None:
    assert verify(sign(SEAT, KEY), KEY, now=NOW) == SEAT


def test_a_ticket_is_good_for_a_minute() -> None:
    verify(sign(SEAT, KEY), KEY, now=NOW + timedelta(seconds=LIFETIME_S))
    with pytest.raises(TicketExpired):
        verify(sign(SEAT, KEY), KEY, now=NOW + timedelta(seconds=LIFETIME_S + 1))


def test_another_key_signs_nothing_of_ours() -> None:
    with pytest.raises(TicketInvalid):
        verify(sign(SEAT, b"x" * 32), KEY, now=NOW)


@given(st.integers(0, len(sign(SEAT, KEY)) - 1), st.sampled_from("aZ0-_.=é"))
def test_a_changed_character_spoils_it(place: int, character: str) -> None:
    ticket = sign(SEAT, KEY)
    changed = ticket[:place] + character + ticket[place + 1 :]
    try:
        assert verify(changed, KEY, now=NOW) == SEAT  # only bits that base64 does not use
    except TicketInvalid:
        pass
    else:
        assert changed == ticket or place == len(ticket) - 1


@given(st.text())
def test_no_text_does_worse_than_an_error(text: str) -> None:
    with pytest.raises(TicketInvalid):
        verify(text, KEY, now=NOW)


def test_a_long_text_is_not_even_looked_at() -> None:
    with pytest.raises(TicketInvalid):
        verify(sign(SEAT, KEY) + "=" * MAX_TICKET_CHARS, KEY, now=NOW)


def test_a_removed_persons_old_ticket_is_refused_and_a_newer_one_is_not() -> None:
    revocations = Revocations()
    revocations.note(RemovePerson("room", "person:1", "expired"), now_s=NOW.timestamp())
    assert revocations.reason(SEAT) == "expired"
    later = NOW + timedelta(seconds=LIFETIME_S + 1)
    revocations.note(CloseRoom("elsewhere"), now_s=later.timestamp())
    assert revocations.reason(SEAT) is None


def test_a_closed_rooms_tickets_are_refused_to_everybody() -> None:
    revocations = Revocations()
    revocations.note(CloseRoom("room"), now_s=NOW.timestamp())
    assert revocations.reason(SEAT) == "ended"
