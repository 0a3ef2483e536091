"""Events and commands pass through JSON unchanged; a finished segment is the same event whenever it is told."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling import events
from signaling.live_room import recording_finished
from signaling.media import SegmentFinished


@pytest.mark.parametrize("kind", events.EVENTS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_an_event_passes_through_json(kind: type[events.RoomEvent], data: st.DataObject) -> None:
    fractions = {"zoom", "x", "y", "loss"} & set(kind.__dataclass_fields__)
    numbers = {name: st.floats(allow_nan=False) for name in fractions}
    event = data.draw(st.builds(kind, **numbers))
    assert events.event_from_json(events.to_json(event)) == event


@pytest.mark.parametrize("kind", events.COMMANDS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_a_command_passes_through_json(kind: type[events.RoomCommand], data: st.DataObject) -> None:
    command = data.draw(st.builds(kind))
    assert events.command_from_json(events.to_json(command)) == command


def test_every_event_is_registered() -> None:
    named = {
        one
        for one in vars(events).values()
        if isinstance(one, type) and issubclass(one, events.RoomEvent) and not one.__name__.startswith("_")
    }
    assert named - {events.RoomEvent} == set(events.EVENTS.values())


def test_a_segment_told_twice_is_one_event() -> None:
    segment = SegmentFinished(
        "room", "m", "p", "N", "patient", "seg", "a.webm", 1500, 2000, True, True, "2026-01-01T09:00:00.000+00:00"
    )
    event = recording_finished(segment)
    assert event == recording_finished(dataclasses.replace(segment))
    assert (event.at_ms, event.happened_at) == (3500, "2026-01-01T09:00:03.500+00:00")
    assert recording_finished(dataclasses.replace(segment, segment_id="other")).event_id != event.event_id
