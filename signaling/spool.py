"""The spool: where segments lie between their recording and their filing.

`spool/<room id>/<segment id>.webm` (`.mkv` with H.264), and beside it `.json`, which says whose it is and where it
begins. recover_spool() finishes what a crash left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Container
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from signaling.codecs import CodecName
from signaling.media import SegmentFinished
from signaling.messages import Source
from signaling.webm import Facts, repair

SUFFIXES: Final[dict[CodecName, str]] = {"vp8": ".webm", "h264": ".mkv"}

_LATER: Final = ("codec", "source")  # descriptions of an earlier version lack them

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Description:
    """What a segment's file does not say itself. offset_ms: room clock at the file's time zero.

    started_at: the consultation's, ISO 8601. codec: of the pictures."""

    room_id: str
    segment_id: str
    member_id: str
    person_id: str
    name: str
    role: str
    offset_ms: int
    started_at: str
    codec: CodecName = "vp8"
    source: Source = "camera"


def segment_path(spool: Path, description: Description) -> Path:
    return spool / _relative(description)


def write_description(spool: Path, description: Description, facts: Facts | None) -> SegmentFinished | None:
    """Write it beside the segment, whole or not at all. facts: once the file is finished; then the event to tell.

    Raises OSError, but not for a finished file: what it holds is told even if the disk is too full to write it down.
    """
    path = segment_path(spool, description).with_suffix(".json")
    content = {**asdict(description), **({} if facts is None else asdict(facts))}
    draft = path.with_suffix(".json.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        if facts is None:
            raise
    return None if facts is None else _finished(description, facts)


def remove_segment(spool: Path, description: Description) -> None:
    path = segment_path(spool, description)
    _discard(path)


def recover_spool(spool: Path, alive: Container[str] = (), *, untouched_s: float = 0) -> list[SegmentFinished]:
    """Finish the segments that a crash left open, and return all that wait in the spool to be filed.

    alive: ids of rooms to leave alone; files that a running recorder holds are left alone anyway. A file without a
    single frame is deleted, with its description, and so is a room's folder with nothing in it. untouched_s: leave
    alone what was written to since; a recorder of another process may just be opening it.
    """
    found = []
    for path in _segments(spool):
        try:
            finished = _recover(spool, path, alive, untouched_s)
        except BlockingIOError:
            continue
        except Exception:  # one file that a bad disk spoilt keeps nobody from the others
            log.exception("segment_unreadable", segment=path.stem)
            continue
        if finished is not None:
            found.append(finished)
    for folder in spool.glob("*/"):
        if _untouched(folder, untouched_s):
            remove_if_empty(folder)
    return found


def _recover(spool: Path, path: Path, alive: Container[str], untouched_s: float) -> SegmentFinished | None:
    description, facts = _read_description(path.with_suffix(".json"))
    if description is not None and description.room_id in alive:
        return None
    if description is not None and facts is not None:
        return _finished(description, facts)
    if not _untouched(path, untouched_s):
        return None
    facts = repair(path)
    if facts is None:
        _discard(path)
        return None
    if description is None:  # a full disk may take it; whose the file is, a person can still find out
        log.warning("segment_nameless", segment=path.stem)
        return None
    return write_description(spool, description, facts)


def finished_segments(spool: Path) -> list[SegmentFinished]:
    """Return what waits in the spool to be filed, without touching the rest."""
    described = (_read_description(path.with_suffix(".json")) for path in _segments(spool))
    return [_finished(description, facts) for description, facts in described if description and facts]


def waits_for_recovery(spool: Path, *, untouched_s: float) -> bool:
    """Whether recover_spool() would find a segment that nobody writes any more and nobody finished."""
    for path in _segments(spool):
        if not _untouched(path, untouched_s):  # as nearly all, while there are calls
            continue
        _, facts = _read_description(path.with_suffix(".json"))
        if facts is None and not _is_written(path):
            return True
    return False


def remove_if_empty(folder: Path) -> None:
    """Take a room's folder away if nothing is in it; the recorder makes it again when it needs it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    remove_if_empty(path.parent)


def _segments(spool: Path) -> list[Path]:
    return sorted(
        path for suffix in SUFFIXES.values() for path in spool.glob(f"*/[!.]*{suffix}")
    )  # a leading dot: a copy that is just being filed


def _untouched(path: Path, since_s: float) -> bool:
    try:
        return since_s <= 0 or time.time() - path.stat().st_mtime >= since_s
    except FileNotFoundError:
        return False


def _is_written(path: Path) -> bool:
    """Whether a recorder has the file open, of whichever process (WebmWriter holds a lock)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read_description(path: Path) -> tuple[Description | None, Facts | None]:
    """What lies beside a segment; the facts are there once the segment was finished."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        description = Description(
            **{name: content[name] for name in Description.__slots__ if name in content or name not in _LATER}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    try:
        return description, Facts(**{name: content[name] for name in Facts.__slots__})
    except (KeyError, TypeError):
        return description, None


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
        source=description.source,
    )


def _relative(description: Description) -> Path:
    return Path(description.room_id) / f"{description.segment_id}{SUFFIXES[description.codec]}"
