"""Real pictures and sounds through the recorder, each file decoded from its first frame to its last."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from signaling.codecs import CodecName
from tests.integration.real_pictures import LEAST, STEP_MS, Watched, luma_of, watch
from tests.integration.studio import MEMBER, Studio

pytestmark = pytest.mark.timeout(300)  # encoders on a busy machine

CODECS: tuple[CodecName, ...] = ("vp8", "h264")


def expect_whole(watched: Watched) -> None:
    assert watched.faults == 0
    assert len(watched.lumas) == watched.in_file[0], "every picture in the file is decoded"
    assert watched.sound_ms == sorted(watched.sound_ms)


def expect_numbers(watched: Watched, wanted: dict[int, int]) -> None:
    """Which pictures are where: numbers by ms of the file."""
    assert list(watched.lumas) == list(wanted)
    for at_ms, number in wanted.items():
        assert abs(watched.lumas[at_ms] - luma_of(number)) < 3, f"another picture than number {number} at {at_ms} ms"


@pytest.mark.parametrize("codec", CODECS)
async def test_every_picture_and_sound_is_in_its_place_over_all_wrap_arounds(tmp_path: Path, codec: CodecName) -> None:
    studio = Studio(tmp_path, codec, first_sequence=65_530, first_timestamp=(1 << 32) - 50_000)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 4_000, 20):
        studio.say(at_ms)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms)
    studio.run()
    segment, watched = await studio.watched()
    expect_whole(watched)
    expect_numbers(watched, {n * STEP_MS: n for n in range(100)})
    assert watched.sound_ms == list(range(0, 4_000, 20))
    assert Path(segment.path).suffix == (".mkv" if codec == "h264" else ".webm")


@pytest.mark.parametrize("codec", CODECS)
async def test_sound_is_kept_from_its_first_packet_and_a_late_picture_stands_where_it_belongs(
    tmp_path: Path, codec: CodecName
) -> None:
    """The camera comes on after 3 s, between two keyframes: it is shown from the next one on."""
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for _ in range(7):
        studio.camera.shoot()
    for at_ms in range(1_000, 6_000, 20):
        studio.say(at_ms)
        if at_ms >= 4_000 and at_ms % STEP_MS == 0:
            studio.show(at_ms)
    studio.run()
    segment, watched = await studio.watched()
    expect_whole(watched)
    assert segment.offset_ms == 1_000
    assert watched.sound_ms == list(range(0, 5_000, 20))
    first = 25 - 7  # the next keyframe
    expect_numbers(watched, {3_000 + n * STEP_MS: n + 7 for n in range(first, 50)})


@pytest.mark.parametrize("codec", CODECS)
async def test_muting_and_a_camera_that_goes_off_leave_gaps_and_move_nothing(tmp_path: Path, codec: CodecName) -> None:
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 20_000, 20):
        if not 4_000 <= at_ms < 9_000:
            studio.say(at_ms)
        if at_ms % STEP_MS == 0 and not 6_000 <= at_ms < 15_000:
            studio.show(at_ms)
    studio.run()
    segment, watched = await studio.watched()
    expect_whole(watched)
    assert segment.duration_ms == pytest.approx(20_000, abs=STEP_MS)
    assert watched.sound_ms == [*range(0, 4_000, 20), *range(9_000, 20_000, 20)]
    expect_numbers(
        watched, {**{n * STEP_MS: n for n in range(150)}, **{15_000 + n * STEP_MS: 150 + n for n in range(125)}}
    )


@pytest.mark.parametrize("codec", CODECS)
async def test_a_picture_that_changes_its_size_goes_on(tmp_path: Path, codec: CodecName) -> None:
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for number in range(75):
        if number == 25:
            studio.camera.resize((320, 240))
        if number == 50:
            studio.camera.resize((80, 60))
        studio.show(number * STEP_MS)
    studio.run()
    _, watched = await studio.watched()
    expect_whole(watched)
    assert watched.sizes == [(160, 120), (320, 240), (80, 60)]
    expect_numbers(watched, {n * STEP_MS: n for n in range(75)})


@pytest.mark.parametrize("codec", CODECS)
async def test_packets_that_come_late_or_out_of_order_leave_no_hole(tmp_path: Path, codec: CodecName) -> None:
    """One of ten comes 500 ms late, as after two retransmissions; all others within 60 ms, in any order."""
    chance = random.Random(3)
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 6_000, 20):
        studio.say(at_ms, takes_ms=chance.uniform(0, 60))
        if at_ms == 0:
            studio.show(at_ms)
        elif at_ms % STEP_MS == 0:
            studio.show(at_ms, takes_ms=lambda _: 500 if chance.random() < 0.1 else chance.uniform(0, 60))
    studio.run()
    _, watched = await studio.watched()
    expect_whole(watched)
    assert len(watched.lumas) == 150
    assert all(abs(luma - luma_of(n)) < 3 for n, luma in enumerate(watched.lumas.values()))
    assert max(abs(at_ms - n * STEP_MS) for n, at_ms in enumerate(watched.lumas)) <= 70
    assert len(watched.sound_ms) >= 297


@pytest.mark.parametrize("codec", CODECS)
async def test_a_loss_cuts_out_pictures_up_to_the_next_keyframe_and_no_sound(tmp_path: Path, codec: CodecName) -> None:
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 4_000, 20):
        studio.say(at_ms)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms, takes_ms=(lambda place: None if place == 0 else 0) if at_ms == 1_200 else lambda _: 0)
    studio.run()
    _, watched = await studio.watched()
    expect_whole(watched)
    expect_numbers(watched, {n * STEP_MS: n for n in range(100) if not 30 <= n < 50})
    assert watched.sound_ms == list(range(0, 4_000, 20))


@pytest.mark.parametrize("codec", CODECS)
async def test_a_cut_keeps_everything_up_to_it_and_nothing_after_it(tmp_path: Path, codec: CodecName) -> None:
    """Pause, withdrawal and resumption while packets go on arriving: the file ends within a frame before the cut."""
    studio = Studio(tmp_path, codec)
    first = studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 9_000, 20):
        studio.say(at_ms, takes_ms=15)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms, takes_ms=lambda _: 15)
    studio.run(3_333)
    studio.recorder.finish(first)
    studio.run(5_555)
    second = studio.recorder.begin(MEMBER, studio.publications, 5_555)
    studio.run(8_000)
    studio.recorder.finish(second)
    studio.run()
    before, after = sorted(await studio.finished(), key=lambda segment: segment.offset_ms)
    ends = [segment.offset_ms + segment.duration_ms for segment in (before, after)]
    assert 3_333 - STEP_MS <= ends[0] <= 3_333 + 20
    assert 8_000 - STEP_MS <= ends[1] <= 8_000 + 20
    assert 5_555 <= after.offset_ms <= 5_555 + 20
    for segment, last in ((before, 3_333), (after, 8_000)):
        watched = watch(tmp_path / segment.path)
        expect_whole(watched)
        assert max(watched.lumas) + segment.offset_ms <= last
        assert last - STEP_MS - 15 <= max(watched.lumas) + segment.offset_ms, "the last whole picture is there"
        assert last - 40 <= watched.sound_ms[-1] + segment.offset_ms <= last
    shown = watch(tmp_path / before.path).lumas
    assert abs(list(shown.values())[-1] - luma_of(len(shown) - 1)) < 3


async def test_a_first_packet_that_waited_for_the_connection_moves_nothing(tmp_path: Path) -> None:
    """What was said while the connection was made arrives at once, 250 ms late; the file has it where it was said."""
    studio = Studio(tmp_path)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(1_000, 3_000, 20):
        studio.say(at_ms, takes_ms=max(0, 1_250 - at_ms))
    studio.run()
    segment, watched = await studio.watched()
    assert segment.offset_ms == 1_000
    assert watched.sound_ms == list(range(0, 2_000, 20))


@pytest.mark.parametrize("codec", CODECS)
async def test_a_sender_that_begins_anew_goes_on_in_the_same_file(tmp_path: Path, codec: CodecName) -> None:
    studio = Studio(tmp_path, codec)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 4_000, 20):
        if at_ms == 2_000:
            studio.begin_anew()
        studio.say(at_ms, takes_ms=10)
        if at_ms % STEP_MS == 0:
            studio.show(at_ms, takes_ms=lambda _: 10)
    studio.run()
    _, watched = await studio.watched()
    expect_whole(watched)
    assert [round((luma - LEAST) / 6) for luma in watched.lumas.values()] == [n % 35 for n in range(100)]
    assert max(abs(at_ms - n * STEP_MS) for n, at_ms in enumerate(watched.lumas)) <= 20
    assert len(watched.sound_ms) >= 198
