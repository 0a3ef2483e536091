"""A room that had to open again, because its process was lost: what pages bring back of what it has forgotten."""

from __future__ import annotations

import dataclasses

import pytest

from signaling import messages as wire
from signaling.effects import Send
from signaling.events import ViewShown
from tests.unit.rooms import NO, WALL_MS, Play, host_seat, recorded_call, seat

SCAN, REPORT = wire.View("scan", page=3), wire.View("report")


def _reopened(*, host_first: bool = True) -> Play:
    """A call a minute old whose room had to open again, with its host and a patient back in it."""
    play = Play(now_ms=1000)
    before_ms = WALL_MS - 60_000
    host = dataclasses.replace(host_seat(consented=True), started_at_ms=before_ms)
    patient = seat("ana", admitted=True, consented=True, started_at_ms=before_ms)
    for who in (host, patient) if host_first else (patient, host):
        play.arrive(who)
    return play


def test_a_room_that_had_to_open_again_counts_on_from_what_was_recorded() -> None:
    play = _reopened()
    assert _welcome_of("host", play).reopened_ms == 61_000
    play.say("host", wire.Recall(wire.View(), on_ms=42_000, at_ms=59_000))
    assert play.sent("ana", wire.RecordingChanged)[0].recording.on_ms == 42_000
    play.say("ana", wire.Recall(wire.View(), on_ms=41_000, at_ms=58_000))
    assert play.sent("host", wire.RecordingChanged) == [], "the largest counts"
    play.wait(5000).say("host", NO)
    assert play.recording().on_ms == 47_000
    play.say("ana", wire.Recall(wire.View(), on_ms=90_000, at_ms=60_000))
    assert play.sent("host", wire.RecordingChanged)[0].recording.on_ms == 65_000, "never more than had passed by then"


def test_what_was_seen_in_this_room_cannot_be_recalled_in_it() -> None:
    play = _reopened()
    play.say("host", wire.Recall(wire.View("scan"), on_ms=42_000, at_ms=61_001))
    assert play.last == []
    fresh = recorded_call("ana")
    fresh.say("host", wire.Recall(wire.View("scan"), on_ms=42_000, at_ms=0))
    assert fresh.last == []


@pytest.mark.parametrize("host_first", [True, False])
def test_the_view_comes_back_and_the_hosts_word_counts_more(host_first: bool) -> None:
    play = _reopened(host_first=host_first)
    recalls = [("host", SCAN), ("ana", REPORT)]
    for member_id, view in recalls if host_first else reversed(recalls):
        play.say(member_id, wire.Recall(view, on_ms=0, at_ms=59_000))
    play.wait(1000)
    assert play.admit(seat("guest")).sent("guest", wire.Welcome)[0].view == SCAN
    assert [one.record_id for one in play.events() if isinstance(one, ViewShown)][-1] == "scan"


def test_what_is_shown_now_is_not_put_away_for_what_was_shown_before() -> None:
    play = _reopened().say("ana", wire.Recall(SCAN, on_ms=0, at_ms=59_000))
    play.say("host", wire.Show(REPORT)).say("host", wire.Recall(SCAN, on_ms=0, at_ms=59_000))
    assert play.last == []
    assert play.admit(seat("guest")).sent("guest", wire.Welcome)[0].view == REPORT


def test_who_may_not_show_brings_no_view_back() -> None:
    play = _reopened()
    guest = dataclasses.replace(seat("rui", grants=(), admitted=True), started_at_ms=WALL_MS - 60_000)
    play.arrive(guest).say("rui", wire.Recall(SCAN, on_ms=0, at_ms=59_000))
    assert play.sent("host", wire.ViewChanged) == []


def _welcome_of(member_id: str, play: Play) -> wire.Welcome:
    return next(
        one.message
        for one in play.past
        if isinstance(one, Send) and member_id in one.to and isinstance(one.message, wire.Welcome)
    )
