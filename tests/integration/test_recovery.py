"""What a killed process left in the spool is finished by the others, and what a living one writes is left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import av
import pytest

from signaling.recovery import UNTOUCHED_S, recover_apart

START_WITHIN_S = 90

pytestmark = pytest.mark.real_time  # another process records sound and picture


async def test_what_a_process_writes_is_left_alone_until_it_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.recording_process", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), START_WITHIN_S)
            assert line.startswith("recording")
            await asyncio.sleep(UNTOUCHED_S + 1)
            assert await asyncio.to_thread(recover_apart, tmp_path) == []
            assert len(list(tmp_path.glob("*/*.webm"))) == 2
        finally:
            process.kill()
    assert await asyncio.to_thread(recover_apart, tmp_path) == [], "it may just be opening them"
    await asyncio.sleep(UNTOUCHED_S + 0.2)
    found = await asyncio.to_thread(recover_apart, tmp_path)
    assert {segment.member_id for segment in found} == {"one", "two"}
    for segment in found:
        assert segment.has_audio and segment.has_video
        with av.open(str(tmp_path / segment.path)) as file:
            assert file.duration
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert await asyncio.to_thread(recover_apart, tmp_path) == found, "until somebody files them"
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
