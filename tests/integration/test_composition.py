"""One video of a whole call: everybody's pictures beside each other and all sounds together, on the call's clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from consult.consultations.compose import NothingReadable, Plan, Track, compose
from tests.integration.tracks import is_near, watch_composed, write_track

pytestmark = pytest.mark.timeout(300)  # encoders on a busy machine

BLUE, ORANGE, PLATE = (40, 80, 200), (220, 130, 40), (28, 28, 28)
LOW_HZ, HIGH_HZ = 440, 1_000


def track(path: Path, person: str, offset_ms: int, seconds: float, *, picture: bool = True) -> Track:
    return Track(path, person, person.title(), offset_ms, round(seconds * 1000), picture, True)


def test_two_people_stand_beside_each_other_and_are_heard_together(tmp_path: Path) -> None:
    """Helen comes first and leaves for a while; Ana's camera is off from 3 to 7 s of her track."""
    helen = write_track(tmp_path / "1", seconds=4, colour=BLUE, tone_hz=LOW_HZ)
    again = write_track(tmp_path / "2", seconds=3, colour=BLUE, tone_hz=LOW_HZ, size=(160, 120))
    ana = write_track(tmp_path / "3", seconds=10, colour=ORANGE, tone_hz=HIGH_HZ, dark=(3, 7), size=(360, 640))
    plan = Plan(
        14_000,
        (track(helen, "helen", 1_000, 4), track(ana, "ana", 2_000, 10), track(again, "helen", 9_000, 3)),
    )
    told: list[int] = []
    compose(plan, tmp_path / "call.mp4", told.append)
    call = watch_composed(tmp_path / "call.mp4")
    assert call.codecs == {"h264", "aac"}
    assert call.duration_ms == pytest.approx(14_000, abs=100)
    seen = {
        at_ms: (call.colour(at_ms, 0.25, 0.15), call.colour(at_ms, 0.75, 0.15))
        for at_ms in (500, 1_500, 3_000, 7_000, 8_700, 9_500, 11_800, 13_000)
    }
    wanted = {
        500: (PLATE, PLATE), 1_500: (BLUE, PLATE), 3_000: (BLUE, ORANGE), 7_000: (PLATE, ORANGE),
        8_700: (PLATE, PLATE), 9_500: (BLUE, ORANGE), 11_800: (BLUE, ORANGE), 13_000: (PLATE, PLATE),
    }  # fmt: skip
    for at_ms, (left, right) in wanted.items():
        assert is_near(seen[at_ms][0], left), f"left at {at_ms} ms: {seen[at_ms][0]}"
        assert is_near(seen[at_ms][1], right), f"right at {at_ms} ms: {seen[at_ms][1]}"
    assert call.tones(200) == set()
    assert call.tones(1_200) == {LOW_HZ}
    assert call.tones(3_000) == {LOW_HZ, HIGH_HZ}
    assert call.tones(6_000) == {HIGH_HZ}
    assert call.tones(10_000) == {LOW_HZ, HIGH_HZ}
    assert call.tones(12_800) == set()
    assert told == sorted(told)


def test_a_screen_that_nothing_moves_on_stands_beside_its_person_until_it_is_taken_away(tmp_path: Path) -> None:
    camera = write_track(tmp_path / "camera", seconds=8, colour=BLUE, tone_hz=LOW_HZ)
    screen = write_track(tmp_path / "screen", seconds=6, colour=ORANGE, dark=(0.5, 5.5))
    plan = Plan(
        8_000,
        (
            track(camera, "helen", 0, 8),
            Track(screen, "helen screen", "Helen", 1_000, 6_000, picture=True, sound=False, stands=True),
        ),
    )
    compose(plan, tmp_path / "call.mp4", lambda _: None)
    call = watch_composed(tmp_path / "call.mp4")
    for at_ms, right in ((500, PLATE), (2_000, ORANGE), (6_000, ORANGE), (7_500, PLATE)):
        assert is_near(call.colour(at_ms, 0.25, 0.15), BLUE)
        assert is_near(call.colour(at_ms, 0.75, 0.15), right), at_ms


@pytest.mark.parametrize("people", [1, 3, 5, 20])
def test_everybody_finds_a_place_or_is_heard(tmp_path: Path, people: int) -> None:
    film = write_track(tmp_path / "film", seconds=1, colour=BLUE, tone_hz=LOW_HZ)
    plan = Plan(1_000, tuple(track(film, f"person {n} of 日本", 0, 1) for n in range(people)))
    compose(plan, tmp_path / "call.mp4", lambda _: None)
    call = watch_composed(tmp_path / "call.mp4")
    height, width = next(iter(call.pictures.values())).shape[:2]
    assert width <= 1_280 and height <= 900
    assert is_near(call.colour(800, 0.13, 0.12), BLUE)


def test_people_without_a_camera_are_heard_under_their_names(tmp_path: Path) -> None:
    voice = write_track(tmp_path / "voice", seconds=2, tone_hz=LOW_HZ)
    compose(Plan(2_000, (track(voice, "ana", 0, 2, picture=False),)), tmp_path / "call.mp4", lambda _: None)
    call = watch_composed(tmp_path / "call.mp4")
    assert call.tones(1_000) == {LOW_HZ}
    assert is_near(call.colour(1_000, 0.1), PLATE)


def test_a_torn_track_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_track(tmp_path / "whole", seconds=4, colour=BLUE, tone_hz=LOW_HZ)
    torn = tmp_path / "torn"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    compose(Plan(5_000, (track(torn, "helen", 0, 4),)), tmp_path / "call.mp4", lambda _: None)
    call = watch_composed(tmp_path / "call.mp4")
    assert is_near(call.colour(500, 0.3), BLUE) and call.tones(500) == {LOW_HZ}
    assert is_near(call.colour(4_800, 0.2), PLATE) and call.tones(4_400) == set()


def test_tracks_that_no_reader_understands_make_no_video(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no film" * 100)
    with pytest.raises(NothingReadable):
        compose(Plan(1_000, (track(tmp_path / "noise", "helen", 0, 1),)), tmp_path / "call.mp4", lambda _: None)
