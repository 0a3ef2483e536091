"""A disk that is really full: the recording ends and says so, what was written can be watched, the call goes on."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from signaling.disk import FULL, KEEP_FREE_BYTES, DiskWatch, free_bytes
from signaling.media import SegmentFinished, SpoolFailed
from signaling.spool import recover_spool
from tests.integration.browsers import Browser, loopback, open_room, until
from tests.integration.real_pictures import STEP_MS, watch
from tests.integration.studio import MEMBER, Studio

pytestmark = pytest.mark.timeout(300)  # encoders on a busy machine

__all__ = ["loopback"]

NO_MARGIN = {"keep_free_bytes": 0, "warn_below_bytes": 0}


class SmallDisk:
    """A file system of its own, which can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self._ballast = folder / "ballast"

    def fill(self, *, leave_bytes: int = 0) -> None:
        free = free_bytes(self.folder) - leave_bytes
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while free > 0:
                    free -= file.write(bytes(min(free, 1 << 16)))
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """A tmpfs; only root may mount one."""
    size = getattr(request, "param", "2m")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk; test_a_file_that_may_not_grow runs for everybody")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def send(studio: Studio, start_ms: int, end_ms: int) -> None:
    for at_ms in range(start_ms, end_ms, 20):
        studio.say(at_ms)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms)
    studio.run()


async def test_what_was_written_before_the_last_byte_was_gone_can_be_watched_and_space_brings_recording_back(
    small_disk: SmallDisk,
) -> None:
    studio = Studio(small_disk.spool, disk=DiskWatch(small_disk.spool, **NO_MARGIN))
    segment = studio.recorder.begin(MEMBER, studio.publications, 0)
    send(studio, 0, 2_000)
    await until(lambda: sum(path.stat().st_size for path in small_disk.spool.rglob("*.webm")) > 20_000)
    small_disk.fill()
    send(studio, 2_000, 4_000)
    await until(lambda: SpoolFailed(f"errno {errno.ENOSPC}") in studio.events)
    studio.recorder.finish(segment)  # as the room does when it hears of it
    await until(lambda: any(isinstance(event, SegmentFinished) for event in studio.events))
    small_disk.make_room()
    studio.recorder.begin(MEMBER, studio.publications, 5_000)
    send(studio, 5_000, 7_000)
    first, second = await studio.finished()
    assert sum(isinstance(event, SpoolFailed) for event in studio.events) == 1
    for one, at_least in ((first, 20), (second, 25)):
        watched = watch(small_disk.spool / one.path)
        assert watched.faults == 0 and len(watched.lumas) == watched.in_file[0] >= at_least
        assert len(watched.sound_ms) >= at_least
    assert [one.segment_id for one in recover_spool(small_disk.spool)] == sorted([first.segment_id, second.segment_id])


@pytest.mark.parametrize("small_disk", ["80m"], indirect=True)
@pytest.mark.usefixtures("loopback")
async def test_a_call_goes_on_when_the_disk_fills_up_and_its_recording_is_finished_in_time(
    small_disk: SmallDisk,
) -> None:
    member, other = Browser("member"), Browser("other")
    async with open_room(small_disk.spool, member, other) as room:
        await room.sees(other, member)
        room.media.set_recording(True)
        await asyncio.sleep(2)
        small_disk.fill(leave_bytes=KEEP_FREE_BYTES - (1 << 20))
        await until(lambda: SpoolFailed(FULL) in room.events)
        room.media.set_recording(False)
        await room.sees(other, member)
        await room.sees(member, other)
        await until(lambda: len(room.segments) == 2)
        room.media.set_recording(True)  # somebody tries again: it is told again
        await until(lambda: sum(isinstance(event, SpoolFailed) for event in room.events) == 2)
        room.media.set_recording(False)
        small_disk.make_room()
        await asyncio.sleep(1.1)
        room.media.set_recording(True)
        await room.sees(other, member, frames=20)
        await room.media.close()
    assert sum(isinstance(event, SpoolFailed) for event in room.events) == 2
    assert len(room.segments) == 4
    for segment in room.segments:
        watched = watch(small_disk.spool / segment.path)
        assert watched.faults == 0 and len(watched.lumas) == watched.in_file[0] > 5


def test_a_file_that_may_not_grow_ends_its_recording_and_can_be_watched(tmp_path: Path) -> None:
    """The same without a disk of our own: the system refuses to let any file of the process grow past 200 kB."""
    command = [sys.executable, "-m", "tests.integration.full_disk_process", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    assert told == [f"SpoolFailed errno {errno.EFBIG}", "SegmentFinished"]
    (segment,) = recover_spool(tmp_path)
    watched = watch(tmp_path / segment.path)
    assert watched.faults == 0 and len(watched.lumas) == watched.in_file[0] > 10
    assert len(watched.sound_ms) > 10
    assert segment.duration_ms >= max(watched.lumas)


def test_the_operator_is_warned_once_before_the_disk_is_full(tmp_path: Path) -> None:
    watch_low = DiskWatch(tmp_path / "not there yet", keep_free_bytes=0, warn_below_bytes=1 << 60)
    with structlog.testing.capture_logs() as logs:
        assert not any(watch_low.is_full(now_ms) for now_ms in range(0, 10_000, 200))
    assert [(line["event"], line["log_level"]) for line in logs] == [("spool_low", "warning")]
    assert logs[0]["free_bytes"] > 0
    assert DiskWatch(tmp_path, keep_free_bytes=1 << 60).is_full(0)
