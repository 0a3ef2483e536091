"""The recorder fed with packets by hand: what is kept, cut and dropped, and when."""

from __future__ import annotations

from pathlib import Path

import av

from signaling.clocks import MemberClock, TrackClock
from signaling.guard import Kind
from signaling.media import MediaEvent, MediaMember, SegmentFinished, SpoolFailed
from signaling.publication import Publication
from signaling.recorder import Recorder

KEY = b"\x10\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00" + bytes(30)
DELTA = b"\x10\x11\x02\x00" + bytes(30)
SOUND = b"\xfc\xff\xfe"
MEMBER = MediaMember("m1", "person:1", "Ana", "patient")


class Studio:
    """A member who is heard from `at_ms` on; every 20 ms a sound, every 40 ms a picture."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.events: list[MediaEvent] = []
        self.recorder = Recorder("room", spool=spool, started_at="2026-01-01T00:00:00+00:00", tell=self.events.append)
        clock = MemberClock()
        self.publications: dict[Kind, Publication] = {
            "audio": self._publication("audio", TrackClock(48_000, clock)),
            "video": self._publication("video", TrackClock(90_000, clock)),
        }

    def _publication(self, kind: Kind, clock: TrackClock) -> Publication:
        return Publication(
            kind, clock, codec="vp8" if kind == "video" else "opus", our_ssrc=1, nacks=True, send_rtcp=lambda data: None
        )

    def hear(self, at_ms: int, *, first: int = 0) -> None:
        """One sound. first: its number at 0 ms, to try wrap-around."""
        number = first + at_ms // 20
        timestamp = (first * 960 + at_ms * 48) & 0xFFFFFFFF
        self.publications["audio"].receive(5, number & 0xFFFF, timestamp, False, SOUND, at_ms)

    def see(self, at_ms: int, payload: bytes, *, first: int = 0) -> None:
        number = first + at_ms // 40
        self.publications["video"].receive(6, number & 0xFFFF, (at_ms * 90) & 0xFFFFFFFF, True, payload, at_ms)

    async def finished(self) -> list[SegmentFinished]:
        await self.recorder.close()
        return [event for event in self.events if isinstance(event, SegmentFinished)]

    def times(self, segment: SegmentFinished) -> dict[str, list[int]]:
        """Where the frames are, in ms of the file, by kind."""
        with av.open(str(self.spool / segment.path)) as file:
            times: dict[str, list[int]] = {stream.type: [] for stream in file.streams}
            for packet in file.demux():
                if packet.size and packet.pts is not None:
                    times[packet.stream.type].append(round(packet.pts * packet.time_base * 1000))
        return times


async def test_sound_before_the_first_keyframe_is_kept(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(5_000, 8_000, 20):
        studio.hear(at_ms)
        if at_ms % 40 == 0:
            studio.see(at_ms, KEY if at_ms == 7_000 else DELTA)
    (segment,) = await studio.finished()
    times = studio.times(segment)
    assert segment.offset_ms == 5_000
    assert times["audio"][0] == 0 and len(times["audio"]) == 150
    assert times["video"][0] == 2_000 and len(times["video"]) == 25


async def test_numbers_and_timestamps_wrap_around_unnoticed(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 4_000, 20):
        studio.hear(at_ms, first=65_500 + 4_473_000)
        if at_ms % 40 == 0:
            studio.see(at_ms, KEY if at_ms == 0 else DELTA, first=65_500)
    (segment,) = await studio.finished()
    times = studio.times(segment)
    assert times["audio"] == list(range(0, 4_000, 20))
    assert times["video"] == list(range(0, 4_000, 40))


async def test_nothing_is_kept_from_before_or_after(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    for at_ms in range(0, 1_000, 20):
        studio.hear(at_ms)
    segment = studio.recorder.begin(MEMBER, studio.publications, 1_000)
    for at_ms in range(1_000, 2_000, 20):
        studio.hear(at_ms)
    studio.recorder.finish(segment)
    for at_ms in range(2_000, 3_000, 20):
        studio.hear(at_ms)
    (finished,) = await studio.finished()
    assert (finished.offset_ms, finished.duration_ms) == (1_000, 1_000)
    assert (finished.has_audio, finished.has_video) == (True, False)
    assert len(studio.times(finished)["audio"]) == 50


async def test_pictures_after_a_loss_wait_for_a_keyframe(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 4_000, 40):
        if at_ms != 1_000:
            studio.see(at_ms, KEY if at_ms in (0, 3_000) else DELTA)
    (segment,) = await studio.finished()
    assert studio.times(segment)["video"] == [*range(0, 1_000, 40), *range(3_000, 4_000, 40)]


async def test_a_member_who_sends_nothing_leaves_no_file(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.recorder.begin(MEMBER, studio.publications, 0)
    assert await studio.finished() == []
    assert not list(tmp_path.rglob("*.*"))


async def test_a_failing_disk_is_told_once(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    (tmp_path / "room").write_text("in the way")
    for _ in range(2):
        studio.recorder.begin(MEMBER, studio.publications, 0)
    for at_ms in range(0, 1_000, 20):
        studio.hear(at_ms)
    assert await studio.finished() == []
    assert [type(event) for event in studio.events] == [SpoolFailed]
