"""The clocks behind timestamps: where a packet belongs on the room's clock, whatever its sender and the line do."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from signaling import compiled
from signaling.clocks import MemberClock, TrackClock
from signaling.codecs import Kind
from signaling.compiled import Passed
from signaling.reception import Arrivals
from signaling.rtp import Moment, extend

needs_library = pytest.mark.skipif(
    compiled.load() is None, reason="clocks.c was not built: python -m signaling.compiling"
)


def ntp(member_ms: float) -> int:
    return int(member_ms / 1000 * (1 << 32))


def test_timestamps_run_on_over_their_wrap_around() -> None:
    clock = TrackClock(48_000, MemberClock())
    start = (1 << 32) - 960
    places = [clock.place((start + n * 960) & 0xFFFFFFFF, 1_000 + n * 20) for n in range(4)]
    assert places == pytest.approx([1_000, 1_020, 1_040, 1_060])


def test_one_late_packet_moves_nothing() -> None:
    clock = TrackClock(48_000, MemberClock())
    for n in range(50):
        clock.place(n * 960, 1_000 + n * 20)
    assert clock.place(50 * 960, 1_000 + 50 * 20 + 300) == pytest.approx(2_000)


def test_a_track_that_begins_late_is_put_right_at_once() -> None:
    """The first packets waited for the connection and came together."""
    clock = TrackClock(48_000, MemberClock())
    places = [clock.place(n * 960, 1_000) for n in range(10)]
    assert places[-1] == pytest.approx(1_000)
    assert clock.timestamp_at(1_000 - 9 * 20) == 0, "and so is what came before"


def test_sender_reports_bring_sound_and_picture_together() -> None:
    """The picture arrives 200 ms later than the sound of the same instant; reports say that they belong together."""
    member = MemberClock()
    sound, picture = TrackClock(48_000, member), TrackClock(90_000, member)
    heard = seen = 0.0
    for n in range(400):
        if n == 50:
            sound.tie(ntp(1_000_000), n * 960, 5_000 + n * 20)
            picture.tie(ntp(1_000_000), n * 1_800, 5_000 + n * 20)
        heard = sound.place(n * 960, 5_000 + n * 20)
        seen = picture.place(n * 1_800, 5_200 + n * 20)
    assert abs(heard - seen) < 5
    assert heard == pytest.approx(5_000 + 399 * 20, abs=5)


def test_a_report_that_was_stamped_late_moves_the_sound_by_nothing() -> None:
    """A busy sender stamps its first report on a picture 400 ms late: that says nothing of when the sound was."""
    member = MemberClock()
    sound, picture = TrackClock(48_000, member), TrackClock(90_000, member)
    for n in range(300):
        if n == 50:
            picture.tie(ntp(1_000_400), n * 1_800, 6_400)
            sound.tie(ntp(1_000_000), n * 960, 6_000)
        picture.place(n * 1_800, 5_000 + n * 20)
        assert sound.place(n * 960, 5_000 + n * 20) == pytest.approx(5_000 + n * 20, abs=1)


@pytest.mark.parametrize("claim_ms", [-60_000, 60_000])
def test_a_report_that_lies_is_not_heeded(claim_ms: int) -> None:
    member = MemberClock()
    sound, picture = TrackClock(48_000, member), TrackClock(90_000, member)
    for n in range(400):
        if n % 50 == 49:
            sound.tie(ntp(1_000_000 + n * 20), n * 960, 5_000 + n * 20)
            picture.tie(ntp(1_000_000 + n * 20 + claim_ms), n * 1_800, 5_000 + n * 20)
        for clock, step in ((sound, 960), (picture, 1_800)):
            assert clock.place(n * step, 5_000 + n * 20) == pytest.approx(5_000 + n * 20, abs=1)


def test_a_sender_that_begins_anew_is_placed_by_arrival() -> None:
    clock = TrackClock(90_000, MemberClock())
    clock.place(1_000, 100)
    assert clock.place(3_000_000_000, 20_000) == pytest.approx(20_000)


@dataclass(frozen=True)
class Sender:
    """How a browser and its line behave. Delays in ms: (least, most; rarely much) between capture and leaving."""

    sound_takes: tuple[float, float] = (20, 25)
    picture_takes: tuple[float, float] = (30, 90)
    stamps_at_leaving: bool = False  # reports tell when a packet left, instead of when it was captured
    jitter_ms: float = 10
    drift_ppm: float = 0


def places(sender: Sender, *, seconds: int, seed: int) -> list[tuple[float, float, float]]:
    """(captured, where the sound of this instant is placed, where the picture is), each 100 ms, all in ms."""
    chance = random.Random(seed)
    member = MemberClock()
    clocks = {"sound": TrackClock(48_000, member), "picture": TrackClock(90_000, member)}
    khz = {"sound": 48 * (1 + sender.drift_ppm / 1e6), "picture": 90.0}
    starts = {kind: chance.randrange(1 << 32) for kind in khz}
    arrivals: list[tuple[float, str, float, float | None]] = []  # arrived, kind, captured, a report's stamp
    for kind, step_ms, takes, report_ms in (
        ("sound", 20, sender.sound_takes, 5_000), ("picture", 66, sender.picture_takes, 1_000)
    ):  # fmt: skip
        left_ms, reported_ms = 0.0, -report_ms / 2
        for captured in range(0, seconds * 1_000, step_ms):
            left_ms = max(left_ms, captured + takes[0] + (takes[1] - takes[0]) * chance.random() ** 6)
            arrivals.append((left_ms + 30 + chance.uniform(0, sender.jitter_ms), kind, captured, None))
            if captured - reported_ms >= report_ms:
                reported_ms = captured
                sent = left_ms + chance.uniform(0, 15)
                arrivals.append((sent + 30 + chance.uniform(0, sender.jitter_ms), kind, captured,
                                 left_ms if sender.stamps_at_leaving else captured))  # fmt: skip
    heapq.heapify(arrivals)
    found = []
    while arrivals:
        arrived, kind, captured, stamp = heapq.heappop(arrivals)
        timestamp = (starts[kind] + round(captured * khz[kind])) & 0xFFFFFFFF
        if stamp is None:
            clocks[kind].place(timestamp, 100_000 + arrived)
        elif sender.stamps_at_leaving:
            clocks[kind].tie(ntp(7_000_000 + stamp), timestamp, 100_000 + arrived)
        else:  # as browsers do: the instant of sending, and the timestamp that belongs to it
            sent = arrived - 30
            now = (starts[kind] + round(sent * khz[kind])) & 0xFFFFFFFF
            clocks[kind].tie(ntp(7_000_000 + sent), now, 100_000 + arrived)
        if kind == "sound" and captured % 100 == 0 and stamp is None and captured >= 1_000:
            placed = []
            for one, clock in clocks.items():
                here = clock.timestamp_at(100_000 + captured)
                assert here is not None
                belongs = starts[one] + round(captured * khz[one])
                placed.append(captured + extend(belongs - here, 0, 32) / (48 if one == "sound" else 90))
            found.append((float(captured), placed[0], placed[1]))
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "sender",
    [
        Sender(),
        Sender(jitter_ms=80),
        Sender(picture_takes=(60, 700)),
        Sender(drift_ppm=100),
        Sender(stamps_at_leaving=True),
        Sender(stamps_at_leaving=True, sound_takes=(1, 200), picture_takes=(10, 600), jitter_ms=0),
    ],
    ids=["quiet", "jitter", "slow pictures", "drift", "stamps at leaving", "busy"],
)
def test_sound_and_picture_of_one_instant_are_within_100_ms_after_3_s(sender: Sender, seed: int) -> None:
    for captured, sound, picture in places(sender, seconds=20, seed=seed):
        if captured >= 3_000:
            assert abs(sound - picture) < 100, f"at {captured} ms"
            assert captured - 25 < sound < captured + 150, f"at {captured} ms"


def passing(chance: random.Random, clock_hz: int) -> Iterator[list[Moment]]:
    """Late ones, early ones, out of order, some of one timestamp, a sender that begins anew."""
    timestamp, now_ms = chance.randrange(1 << 32), 1_000.0
    most_ms = chance.choice((0, 5, 80, 3_000))
    for _ in range(150):
        moments: list[Moment] = []
        for _ in range(chance.randint(1, 12)):
            now_ms += 20
            step = chance.randrange(1 << 32) if chance.random() < 0.01 else clock_hz // 50
            timestamp = (timestamp + step * (chance.random() < 0.95)) & 0xFFFFFFFF
            late = (timestamp - clock_hz // 30) & 0xFFFFFFFF
            waited_ms = chance.random() * chance.choice((0, 1, most_ms))
            moments.append((late if chance.random() < 0.03 else timestamp, now_ms + waited_ms))
        yield moments


def passed(moments: list[Moment]) -> Passed:
    """As C writes down what passed."""
    return Passed(b"".join(compiled._run.pack(0, at, 0, ms, True, 1, True) for at, ms in moments), b"")


@needs_library
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("clock_hz", [48_000, 90_000])
def test_placing_what_passed_in_c_is_placing_each(clock_hz: int, seed: int) -> None:
    """With reports in between."""
    chance = random.Random(seed)
    together, each = TrackClock(clock_hz, MemberClock()), TrackClock(clock_hz, MemberClock())
    for moments in passing(chance, clock_hz):
        assert list(together.place_passed(passed(moments))) == [each.place_next(*moment) for moment in moments]
        assert together.lag_ms == each.lag_ms
        if chance.random() < 0.1:
            timestamp, now_ms = moments[-1]
            for clock in (together, each):
                clock.tie(ntp(now_ms + 500), timestamp, now_ms + 3)


@needs_library
@pytest.mark.parametrize("seed", range(20))
def test_jitter_of_what_passed_in_c_is_that_of_each(seed: int) -> None:
    chance = random.Random(seed)
    kind: Kind = chance.choice(("audio", "video"))
    together, each = Arrivals(kind), Arrivals(kind)
    for moments in passing(chance, 48_000):
        together.note_passed(passed(moments))
        for moment in moments:
            each.note(*moment)
        assert together.jitter == each.jitter
        if chance.random() < 0.2:  # one that took the long way
            both = moments[-1][0] + 960 & 0xFFFFFFFF, moments[-1][1] + 20
            together.note(*both)
            each.note(*both)
