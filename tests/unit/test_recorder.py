"""The WebM files, without a network: layout, repair, times."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from signaling.webm import Facts, WebmWriter, repair
from signaling.webm_layout import AUDIO_TRACK, VIDEO_TRACK

KEY = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00" + bytes(30)
DELTA = b"\x11\x02\x00" + bytes(30)
SOUND = b"\xfc\xff\xfe"


def _write(path: Path, *, seconds: int = 5, audio: bool = True, video: bool = True) -> WebmWriter:
    writer = WebmWriter(path)
    for at_ms in range(0, seconds * 1_000, 20):
        if audio:
            writer.write(AUDIO_TRACK, at_ms, SOUND, keyframe=True)
        if video and at_ms % 40 == 0:
            keyframe = at_ms % 2_000 == 0
            if keyframe:
                writer.begin_pictures(320, 240)
            writer.write(VIDEO_TRACK, at_ms, KEY if keyframe else DELTA, keyframe=keyframe)
        writer.flush()
    return writer


def _times(path: Path) -> dict[str, list[float]]:
    with av.open(str(path)) as file:
        times: dict[str, list[float]] = {stream.type: [] for stream in file.streams}
        for packet in file.demux():
            if packet.size and packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    return times


def test_a_finished_file_says_how_long_it_is_and_seeks(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    assert _write(path).finish() == Facts(5_000, True, True)
    times = _times(path)
    assert (len(times["audio"]), len(times["video"])) == (250, 125)
    with av.open(str(path)) as file:
        assert file.duration == 5_000_000
        assert (file.streams.video[0].width, file.streams.video[0].height) == (320, 240)
        file.seek(4_500_000)
        assert next(p.pts for p in file.demux(video=0)) == 4_000


@pytest.mark.parametrize(("audio", "video"), [(True, False), (False, True)])
def test_a_track_without_a_frame_is_not_in_the_file(tmp_path: Path, audio: bool, video: bool) -> None:
    path = tmp_path / "a.webm"
    assert _write(path, audio=audio, video=video).finish() == Facts(5_000 if audio else 4_993, audio, video)
    assert list(_times(path)) == ["audio" if audio else "video"]


def test_every_cut_of_an_open_file_can_be_repaired(tmp_path: Path) -> None:
    path = tmp_path / "whole.webm"
    writer = _write(path, seconds=2)
    writer.close()
    data = path.read_bytes()
    for cut in range(len(data), 0, -97):
        part = tmp_path / "part.webm"
        part.write_bytes(data[:cut])
        facts = repair(part)
        if facts is None:
            assert cut < 500
            continue
        times = _times(part)
        assert sum(map(len, times.values())) > 0
        longest = max(max(of_track) for of_track in times.values() if of_track)
        assert longest * 1_000 < facts.duration_ms <= longest * 1_000 + 34


def test_repairing_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    facts = _write(path).finish()
    before = path.read_bytes()
    assert repair(path) == facts
    assert path.read_bytes() == before


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    writer = _write(path, seconds=1)
    with pytest.raises(BlockingIOError):
        repair(path)
    writer.finish()


def test_gaps_of_silence_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    writer = WebmWriter(path)
    for at_ms in (0, 20, 40_000, 40_020, 120_000):
        writer.write(AUDIO_TRACK, at_ms, SOUND, keyframe=True)
    assert writer.finish().duration_ms == 120_020
    assert _times(path)["audio"] == [0, 0.02, 40, 40.02, 120]
