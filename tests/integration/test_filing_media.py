"""What filing makes of a recorder's file: one that every browser plays, with the same pictures at the same times."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from consult.consultations.remux import remux
from signaling.codecs import CodecName
from tests.integration.real_pictures import STEP_MS, watch
from tests.integration.studio import MEMBER, Studio

pytestmark = pytest.mark.timeout(300)  # encoders on a busy machine

CODECS: tuple[CodecName, ...] = ("vp8", "h264")


async def record(spool: Path, codec: CodecName, *, pictures_from_ms: int = 400) -> Path:
    """Ten seconds; the sound rests from 3 to 5 s, as a silent browser's does, the picture from 6 to 8 s."""
    studio = Studio(spool, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 10_000, 20):
        if not 3_000 <= at_ms < 5_000:
            studio.say(at_ms)
        if at_ms % STEP_MS == 0 and at_ms >= pictures_from_ms and not 6_000 <= at_ms < 8_000:
            studio.show(at_ms)
    studio.run()
    (segment,) = await studio.finished()
    return spool / segment.path


@pytest.mark.parametrize("codec", CODECS)
async def test_the_same_pictures_stand_at_the_same_times_and_the_sound_has_no_gap(
    tmp_path: Path, codec: CodecName
) -> None:
    source, target = await record(tmp_path, codec), tmp_path / "filed"
    facts = remux(source, target)
    assert facts.media_type == ("video/mp4" if codec == "h264" else "video/webm")
    assert (facts.has_audio, facts.has_video) == (True, True)
    assert facts.duration_ms == pytest.approx(10_000, abs=STEP_MS)
    before, after = watch(source), watch(target)
    assert after.faults == 0
    assert list(after.lumas) == pytest.approx(list(before.lumas), abs=1)
    assert list(after.lumas.values()) == list(before.lumas.values())
    assert len(before.sound_ms) == 400 and before.sound_ms[150] - before.sound_ms[149] > 2_000
    steps = np.diff(after.sound_ms)
    assert len(after.sound_ms) == 500 and steps.max() <= 21 and steps.min() >= 19


@pytest.mark.parametrize("codec", CODECS)
async def test_a_filed_recording_says_how_long_it_is_and_seeks_without_its_end(
    tmp_path: Path, codec: CodecName
) -> None:
    target = tmp_path / "filed"
    remux(await record(tmp_path, codec), target)
    data = target.read_bytes()
    index = (b"moov", b"mdat") if codec == "h264" else (b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75")
    assert 0 < data.index(index[0]) < data.index(index[1]), "the index comes before what it leads to"
    with av.open(str(target)) as file:
        assert file.duration is not None and abs(file.duration - 10_000_000) < 100_000
        file.seek(9_000_000)
        frame = next(iter(file.decode(video=0)))
        assert 7.0 < float(frame.time or 0) <= 9.0


async def test_a_recording_of_sound_alone_is_a_webm_whatever_the_camera_would_have_sent(tmp_path: Path) -> None:
    target = tmp_path / "filed"
    facts = remux(await record(tmp_path, "h264", pictures_from_ms=60_000), target)
    assert (facts.media_type, facts.has_audio, facts.has_video) == ("video/webm", True, False)
    assert len(watch(target).sound_ms) == 500
