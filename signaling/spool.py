"""The spool: where segments lie between their recording and their filing.

`spool/<room id>/<segment id>.webm`, and beside it `.json`, which says whose it is and where it begins. recover_spool()
finishes what a crash left.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container
from dataclasses import asdict, dataclass
from pathlib import Path

from signaling.media import SegmentFinished
from signaling.webm import Facts, repair


@dataclass(frozen=True, slots=True)
class Description:
    """What a segment's file does not say itself. offset_ms: room clock at the file's time zero.

    started_at: the consultation's, ISO 8601."""

    room_id: str
    segment_id: str
    member_id: str
    person_id: str
    name: str
    role: str
    offset_ms: int
    started_at: str


def segment_path(spool: Path, description: Description) -> Path:
    return spool / _relative(description)


def write_description(spool: Path, description: Description, facts: Facts | None) -> SegmentFinished | None:
    """Write it beside the segment, whole or not at all. facts: once the file is finished; then the event to tell."""
    path = segment_path(spool, description).with_suffix(".json")
    content = {**asdict(description), **({} if facts is None else asdict(facts))}
    draft = path.with_suffix(".json.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    draft.replace(path)
    return None if facts is None else _finished(description, facts)


def remove_segment(spool: Path, description: Description) -> None:
    path = segment_path(spool, description)
    _discard(path)


def recover_spool(spool: Path, alive: Container[str] = ()) -> list[SegmentFinished]:
    """Finish the segments that a crash left open, and return all that wait in the spool to be filed.

    alive: ids of rooms to leave alone; files that a running recorder holds are left alone anyway. A file without a
    single frame is deleted, with its description, and so is a room's folder with nothing in it.
    """
    found = []
    for path in sorted(spool.glob("*/[!.]*.webm")):  # a leading dot: a copy that is just being filed
        description = _read_description(path.with_suffix(".json"))
        if description is not None and description.room_id in alive:
            continue
        try:
            facts = repair(path)
        except BlockingIOError:
            continue
        if facts is None or description is None:
            _discard(path)
            continue
        finished = write_description(spool, description, facts)
        if finished is not None:
            found.append(finished)
    for folder in spool.glob("*/"):
        remove_if_empty(folder)
    return found


def remove_if_empty(folder: Path) -> None:
    """Take a room's folder away if nothing is in it; the recorder makes it again when it needs it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    remove_if_empty(path.parent)


def _read_description(path: Path) -> Description | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Description(**{name: content[name] for name in Description.__slots__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _finished(description: Description, facts: Facts) -> SegmentFinished:
    return SegmentFinished(
        room_id=description.room_id,
        member_id=description.member_id,
        person_id=description.person_id,
        name=description.name,
        role=description.role,
        segment_id=description.segment_id,
        path=str(_relative(description)),
        offset_ms=description.offset_ms,
        duration_ms=facts.duration_ms,
        has_audio=facts.has_audio,
        has_video=facts.has_video,
        started_at=description.started_at,
    )


def _relative(description: Description) -> Path:
    return Path(description.room_id) / f"{description.segment_id}.webm"
