"""Everything of a consultation on one clock: what was on screen, what was written, where nothing was recorded.

Pure. Made from the events that rooms told and the segments that were filed; nothing here is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from consult.consultations.model import Attendance, Gap, Segment, Shown, Timeline, TimelineEvent, Written

SHORTEST_SHOWN_MS = 300  # a page that was only turned past is not worth a line
SHORTEST_GAP_MS = 1500
_WRITTEN = ("line_id", "member_id", "person_id", "name", "role", "text")
KINDS = ("ViewShown", "ChatSaid", "RecordingSwitched")


def timeline_of(
    segments: Sequence[Segment], attendances: Sequence[Attendance], events: Sequence[TimelineEvent]
) -> Timeline:
    """Return all of it together."""
    length_ms = length_of(segments, attendances, events)
    return Timeline(
        length_ms=length_ms,
        shown=tuple(shown_in(events, length_ms)),
        written=tuple(written_in(events)),
        gaps=tuple(gaps_in(segments, events, length_ms)) if segments else (),
    )


def length_of(segments: Iterable[Segment], attendances: Iterable[Attendance], events: Iterable[TimelineEvent]) -> int:
    """Return the ms from the start to the last thing that is known."""
    ends = [segment.end_ms for segment in segments]
    ends += [there.left_ms if there.left_ms is not None else there.joined_ms for there in attendances]
    ends += [event.at_ms for event in events]
    return max(ends, default=0)


def shown_in(events: Iterable[TimelineEvent], length_ms: int) -> list[Shown]:
    """Return what was on screen and how long, in order; moves within one page are one thing."""
    spans: list[Shown] = []
    current: Shown | None = None
    for event in events:
        if event.kind != "ViewShown":
            continue
        record_id, page = event.payload.get("record_id"), event.payload.get("page")
        if current is not None and (record_id, page) == (current.record_id, current.page):
            continue
        if current is not None:
            spans.append(replace(current, end_ms=event.at_ms))
        is_something = isinstance(record_id, str) and isinstance(page, int)
        current = Shown(record_id, page, event.at_ms, length_ms) if is_something else None  # type: ignore[arg-type]
    if current is not None:
        spans.append(replace(current, end_ms=max(length_ms, current.start_ms)))
    return [span for span in spans if span.end_ms - span.start_ms >= SHORTEST_SHOWN_MS]


def written_in(events: Iterable[TimelineEvent]) -> list[Written]:
    """Return the lines of chat in order, each once."""
    lines: dict[tuple[str, str], Written] = {}
    for event in events:
        if event.kind != "ChatSaid":
            continue
        fields = {name: str(event.payload.get(name, "")) for name in _WRITTEN}
        # A line_id is its writer's own choice: nobody replaces or hides somebody else's line by using theirs again.
        lines.setdefault((fields["person_id"], fields["line_id"]), Written(**fields, at_ms=event.at_ms))
    return list(lines.values())


def gaps_in(segments: Sequence[Segment], events: Iterable[TimelineEvent], length_ms: int) -> list[Gap]:
    """Return where no segment of anybody lies, in order."""
    paused = _paused(events, length_ms)
    gaps: list[Gap] = []
    at_ms = 0
    for segment in sorted(segments, key=lambda one: one.offset_ms):
        if segment.offset_ms - at_ms >= SHORTEST_GAP_MS:
            gaps.append(_gap(at_ms, segment.offset_ms, paused))
        at_ms = max(at_ms, segment.end_ms)
    if length_ms - at_ms >= SHORTEST_GAP_MS:
        gaps.append(_gap(at_ms, length_ms, paused))
    return gaps


def _gap(start_ms: int, end_ms: int, paused: Sequence[tuple[int, int]]) -> Gap:
    middle_ms = (start_ms + end_ms) / 2
    return Gap(start_ms, end_ms, any(start <= middle_ms < end for start, end in paused))


def _paused(events: Iterable[TimelineEvent], length_ms: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    since_ms: int | None = None
    for event in events:
        if event.kind != "RecordingSwitched":
            continue
        if since_ms is not None:
            spans.append((since_ms, event.at_ms))
        since_ms = event.at_ms if event.payload.get("state") == "paused" else None
    if since_ms is not None:
        spans.append((since_ms, length_ms))
    return spans
