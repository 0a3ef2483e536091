"""What was on screen and where nothing was recorded, from a room's events."""

from __future__ import annotations

from uuid import uuid4

from consult.consultations.model import Gap, Segment, TimelineEvent
from consult.consultations.timeline import gaps_in, shown_in, written_in


def view(at_ms: int, record_id: str | None, page: int = 1) -> TimelineEvent:
    return TimelineEvent("ViewShown", at_ms, {"record_id": record_id, "page": page})


def segment(offset_ms: int, duration_ms: int) -> Segment:
    return Segment(
        uuid4(), uuid4(), "m", "p", "Ana", "patient", offset_ms, duration_ms, True, True, "video/webm", 1, "k"
    )


def test_moves_within_a_page_are_one_thing_shown() -> None:
    spans = shown_in([view(1000, "r"), view(2000, "r"), view(5000, "r", 2), view(9000, None)], 20_000)
    assert [(span.page, span.start_ms, span.end_ms) for span in spans] == [(1, 1000, 5000), (2, 5000, 9000)]


def test_a_page_that_was_only_turned_past_is_left_out() -> None:
    spans = shown_in([view(1000, "r", 1), view(1100, "r", 2), view(1200, "r", 3)], 20_000)
    assert [(span.page, span.end_ms) for span in spans] == [(3, 20_000)]


def test_a_pause_of_the_host_is_told_from_nobody_being_there() -> None:
    events = [
        TimelineEvent("RecordingSwitched", 10_000, {"state": "paused"}),
        TimelineEvent("RecordingSwitched", 20_000, {"state": "on"}),
    ]
    gaps = gaps_in([segment(4000, 6000), segment(20_000, 5000)], events, 26_000)
    assert gaps == [Gap(0, 4000, paused=False), Gap(10_000, 20_000, paused=True)]


def test_a_line_that_was_sent_twice_is_written_once() -> None:
    line = TimelineEvent(
        "ChatSaid", 5, {"line_id": "1", "person_id": "p", "name": "Ana", "role": "patient", "text": "Hi"}
    )
    assert len(written_in([line, line])) == 1
