"""What is recorded: the same packets, on one clock, cut exactly, and not lost when the process dies."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
import pytest

from signaling.media import SpoolFailed
from signaling.spool import recover_spool
from tests.integration.browsers import Browser, Picture, loopback, open_room, until

pytestmark = pytest.mark.usefixtures("loopback")
__all__ = ["loopback"]


async def test_sound_and_picture_of_a_member_stay_together(tmp_path: Path) -> None:
    other, clapper = Browser("other"), Browser("clapper", luma=20, flashes=True)
    async with open_room(tmp_path, other, clapper) as room:
        await room.sees(other, clapper)
        room.media.set_recording(True)
        await asyncio.sleep(7.5)
        room.media.set_recording(False)
        await until(lambda: len(room.segments) == 2)
        segment = next(segment for segment in room.segments if segment.member_id == "clapper")
    assert segment.has_audio and segment.has_video
    flashes, beeps = _flashes_and_beeps(tmp_path / segment.path)
    # A beep that was going on when the recording began has no start of its own; nor has one that the end cut off.
    whole = [flash for flash in flashes if beeps[0] - 0.5 < flash < beeps[-1] + 0.5]
    assert len(whole) >= 5
    assert max(min(abs(flash - beep) for beep in beeps) for flash in whole) < 0.1, (flashes, beeps)


async def test_two_members_are_on_one_clock(tmp_path: Path) -> None:
    """Both began to flash at an instant of their own; the room's clock keeps the difference."""
    first, second = Browser("first", luma=20, flashes=True), Browser("second", luma=20, flashes=True)
    async with open_room(tmp_path, first, second) as room:
        await room.sees(first, second)
        await room.sees(second, first)
        room.media.set_recording(True)
        await asyncio.sleep(3.5)
        began = {browser.member.member_id: _began_s(browser) for browser in (first, second)}
        await room.media.close()
    phases = {}
    for segment in room.segments:
        flashes, _ = _flashes_and_beeps(tmp_path / segment.path)
        phases[segment.member_id] = flashes[-1] + segment.offset_ms / 1000
    wanted = (began["second"] - began["first"]) % 1
    got = (phases["second"] - phases["first"]) % 1
    assert min(abs(got - wanted), 1 - abs(got - wanted)) < 0.15


async def test_a_pause_cuts_exactly_and_begins_a_new_segment(tmp_path: Path) -> None:
    member, other = Browser("member"), Browser("other")
    async with open_room(tmp_path, member, other) as room:
        await room.sees(other, member)
        room.media.set_recording(True)
        await asyncio.sleep(1.5)
        paused_ms = room.now_ms()
        room.media.set_recording(False)
        await asyncio.sleep(1)
        resumed_ms = room.now_ms()
        room.media.set_recording(True)
        await asyncio.sleep(1.2)
        await room.media.close()
    own = sorted((s for s in room.segments if s.member_id == "member"), key=lambda segment: segment.offset_ms)
    assert len(own) == 2
    before, after = own
    # How exactly, test_recording_media.py measures: here the sender shares our cores.
    assert paused_ms - 600 < before.offset_ms + before.duration_ms <= paused_ms + 40
    assert after.offset_ms >= resumed_ms - 1
    assert all(_decodes(tmp_path / segment.path) for segment in own)


async def test_leaving_and_coming_back_makes_segments_of_their_own(tmp_path: Path) -> None:
    stays, before, after = Browser("stays"), Browser("goes"), Browser("goes")
    async with open_room(tmp_path, stays, before) as room:
        await room.sees(stays, before)
        room.media.set_recording(True)
        await asyncio.sleep(1)
        await after.join(room.media, attempt=1)
        try:
            await until(lambda: any(segment.member_id == "goes" for segment in room.segments))
            await room.connected(after)
            await room.sees(stays, after)
            await asyncio.sleep(0.5)
            await room.media.close()
        finally:
            await after.close()
    assert sorted(segment.member_id for segment in room.segments) == ["goes", "goes", "stays"]
    assert all(_decodes(tmp_path / segment.path) for segment in room.segments)


async def test_a_member_without_a_camera_is_recorded_as_sound_alone(tmp_path: Path) -> None:
    quiet, other = Browser("quiet", video=False), Browser("other")
    async with open_room(tmp_path, quiet, other) as room:
        await room.sees(other, quiet, kinds="audio")
        room.media.set_recording(True)
        await asyncio.sleep(1)
        await room.media.close()
    segment = next(segment for segment in room.segments if segment.member_id == "quiet")
    assert segment.has_audio and not segment.has_video
    with av.open(str(tmp_path / segment.path)) as file:
        assert [stream.type for stream in file.streams] == ["audio"]


async def test_nobody_is_recorded_who_was_not_to_be(tmp_path: Path) -> None:
    member, other = Browser("member"), Browser("other")
    async with open_room(tmp_path, member, other) as room:
        await room.sees(other, member)
    assert not list(tmp_path.iterdir())


async def test_a_disk_that_fails_ends_the_recording_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "room-1").write_text("in the way")
    member, other = Browser("member"), Browser("other")
    async with open_room(tmp_path, member, other) as room:
        room.media.set_recording(True)
        await until(lambda: any(isinstance(event, SpoolFailed) for event in room.events))
        await room.sees(other, member)
        await room.sees(member, other)
    assert not room.segments


async def test_loss_on_the_line_is_repaired(tmp_path: Path) -> None:
    """5 % lost in each direction at both members: retransmission brings every picture back."""
    sender, viewer = Browser("sender"), Browser("viewer")
    async with open_room(tmp_path, sender, viewer) as room:
        await room.sees(viewer, sender)
        sender.lose(0.05)
        viewer.lose(0.05, seed=2)
        await room.sees(viewer, sender, frames=10)
        room.media.set_recording(True)
        await room.sees(viewer, sender, frames=60, kinds="video")
        await room.media.close()
    segment = next(segment for segment in room.segments if segment.member_id == "sender")
    pictures, seconds = _count_pictures(tmp_path / segment.path)
    assert pictures / seconds > 12  # of 15


@pytest.fixture
async def dead_spool(tmp_path: Path) -> AsyncIterator[Path]:
    """The spool of a process that recorded for four seconds and was killed."""
    command = [sys.executable, "-m", "tests.integration.recording_process", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30)
        assert line.startswith("recording")
        await asyncio.sleep(4)
        process.kill()
        process.wait()
        (tmp_path / "killed.txt").write_text(str(time.time()))
    yield tmp_path


async def test_a_killed_process_loses_less_than_a_second(dead_spool: Path) -> None:
    killed_at = float((dead_spool / "killed.txt").read_text())
    segments = recover_spool(dead_spool)
    assert {segment.member_id for segment in segments} == {"one", "two"}
    for segment in segments:
        description = json.loads((dead_spool / segment.path).with_suffix(".json").read_text())
        assert description["duration_ms"] == segment.duration_ms
        recorded_until = float(segment.started_at) + (segment.offset_ms + segment.duration_ms) / 1000
        assert killed_at - recorded_until < 1.0
        assert segment.has_audio and segment.has_video
        assert _decodes(dead_spool / segment.path)
    assert recover_spool(dead_spool) == segments  # until somebody files them
    assert recover_spool(dead_spool, alive={"room-1"}) == []


async def test_a_second_failure_is_told_again_and_a_mended_disk_records(tmp_path: Path) -> None:
    in_the_way = tmp_path / "room-1"
    in_the_way.write_text("in the way")
    member, other = Browser("member"), Browser("other")
    async with open_room(tmp_path, member, other) as room:

        def failures() -> int:
            return sum(isinstance(event, SpoolFailed) for event in room.events)

        for tries in (1, 2):
            room.media.set_recording(True)
            await until(lambda: failures() == tries)  # noqa: B023
            room.media.set_recording(False)  # as the room does when it hears of it
        await asyncio.sleep(0.5)
        assert failures() == 2, "each failure once, for all members together"
        in_the_way.unlink()
        room.media.set_recording(True)
        await asyncio.sleep(1.2)
        room.media.set_recording(False)
        await until(lambda: len(room.segments) == 2)
        assert failures() == 2


def test_a_copy_that_is_being_filed_is_left_alone(tmp_path: Path) -> None:
    copy = tmp_path / "room-1" / ".segment.filing.webm"
    copy.parent.mkdir()
    copy.write_bytes(b"half a copy")
    assert recover_spool(tmp_path) == []
    assert copy.read_bytes() == b"half a copy"


def test_what_holds_nothing_is_deleted_from_the_spool(tmp_path: Path) -> None:
    folder = tmp_path / "room-1"
    folder.mkdir()
    for name in ("empty.webm", "empty.json"):
        (folder / name).write_bytes(b"")
    assert recover_spool(tmp_path) == []
    assert not list(tmp_path.iterdir()), "nor does the room's folder stay"
    assert recover_spool(tmp_path / "nowhere") == []


def _began_s(browser: Browser) -> float:
    track = browser.pc.getTransceivers()[1].sender.track
    assert isinstance(track, Picture) and track.start.at_s is not None
    return track.start.at_s


def _flashes_and_beeps(path: Path) -> tuple[list[float], list[float]]:
    """The instants, in s of the file, when the picture turned white and when the sound began."""
    flashes, beeps = [], []
    with av.open(str(path)) as file:
        white = False
        for picture in file.decode(video=0):
            now_white = float(picture.to_ndarray(format="yuv420p")[60, 80]) > 150
            if now_white and not white:
                flashes.append(float(picture.time or 0))
            white = now_white
    with av.open(str(path)) as file:
        loud = False
        for sound in file.decode(audio=0):
            now_loud = float(np.abs(sound.to_ndarray()).max()) > (0.2 if "flt" in sound.format.name else 6_000)
            if now_loud and not loud:
                beeps.append(float(sound.time or 0))
            loud = now_loud
    return flashes, beeps


def _decodes(path: Path) -> bool:
    """Whether every frame from first to last can be decoded, and the file says how long it is."""
    with av.open(str(path)) as file:
        decoded = sum(1 for _ in file.decode(video=0))
    with av.open(str(path)) as file:
        whole = sum(1 for packet in file.demux(video=0) if packet.size)
        return decoded == whole > 0 and bool(file.duration)


def _count_pictures(path: Path) -> tuple[int, float]:
    with av.open(str(path)) as file:
        times = [float(picture.time or 0) for picture in file.decode(video=0)]
    return len(times), times[-1] - times[0]
