"""`python -m consult.consultations.compose PLAN OUT`: the tracks of a consultation become one MP4, side by side.

Pictures stand beside each other, each over its person's name, on the consultation's clock; sounds are mixed. Where
somebody has no picture, their initials stand in its place: nothing is shown or heard that the tracks do not hold. Runs
as a process of its own, with limits, because decoding and encoding would take cores and memory from everything else.
PLAN: JSON, {"length_ms", "tracks": [{"path", "person", "name", "offset_ms", "duration_ms", "picture", "sound",
"stands"}]}.
Prints lines of JSON: {"done_ms"} now and then. Exit codes: 0 done, 3 nothing in it can be read, 1 anything else.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from consult.consultations.compose_pictures import Canvas, PictureTrack
from consult.consultations.compose_sound import RATE_HZ, Mixer

UNREADABLE: Final = 3
FRAMES_PER_S: Final = 15
SOUND_CHUNK: Final = 1024  # samples of one AAC frame
TELL_EVERY_S: Final = 1.0
NICE: Final = 15
MEMORY_BYTES: Final = 3 << 30
_VIDEO = {"preset": "veryfast", "crf": "26", "profile": "main"}


@dataclass(frozen=True, slots=True)
class Track:
    """A filed segment. offset_ms: of its time zero on the consultation's clock. person: whose; name: as shown.

    stands: a picture is seen until the next one, as a screen that nothing moves on.
    """

    path: Path
    person: str
    name: str
    offset_ms: int
    duration_ms: int
    picture: bool
    sound: bool
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    length_ms: int
    tracks: tuple[Track, ...]


class NothingReadable(Exception):
    pass


def compose(plan: Plan, target: Path, tell: Callable[[int], None]) -> None:
    """Write the MP4. tell: hears how many ms are done. Raises NothingReadable, OSError."""
    if not any(track.picture or track.sound for track in plan.tracks):
        raise NothingReadable("no track")
    people = dict.fromkeys(track.person for track in plan.tracks)
    names = {track.person: track.name for track in plan.tracks}
    canvas = Canvas([names[person] for person in people])
    pictures = [
        PictureTrack([track for track in plan.tracks if track.person == person and track.picture]) for person in people
    ]
    mixer = Mixer([track for track in plan.tracks if track.sound])
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as writer:
        video = writer.add_stream("libx264", rate=FRAMES_PER_S, options=_VIDEO)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = canvas.width, canvas.height, "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.gop_size = FRAMES_PER_S * 5  # a player finds a place to begin at within 5 s
        audio = writer.add_stream("aac", rate=RATE_HZ)
        assert isinstance(audio, av.AudioStream)
        audio.layout, audio.bit_rate = "mono", 96_000
        told_s, written = time.monotonic(), 0
        for number in range(max(1, plan.length_ms * FRAMES_PER_S // 1000)):
            at_ms = number * 1000 / FRAMES_PER_S
            for place, track in enumerate(pictures):
                canvas.show(place, track.at(at_ms))
            frame = canvas.frame()
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_S)
            writer.mux(video.encode(frame))
            while written * 1000 < at_ms * RATE_HZ:
                writer.mux(audio.encode(mixer.take(written, SOUND_CHUNK)))
                written += SOUND_CHUNK
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                tell(round(at_ms))
        writer.mux(video.encode(None))
        writer.mux(audio.encode(None))
    if not mixer.heard and not any(track.seen for track in pictures):
        raise NothingReadable("no frame")


def read_plan(content: dict[str, Any]) -> Plan:
    tracks = tuple(Track(**{**track, "path": Path(track["path"])}) for track in content["tracks"])
    return Plan(content["length_ms"], tracks)


def main(arguments: list[str]) -> int:
    plan_path, target = map(Path, arguments)
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def tell(done_ms: int) -> None:
        sys.stdout.write(json.dumps({"done_ms": done_ms}) + "\n")
        sys.stdout.flush()

    try:
        compose(read_plan(json.loads(plan_path.read_text(encoding="utf-8"))), target, tell)
    except NothingReadable as error:
        sys.stderr.write(f"unreadable: {error}\n")
        return UNREADABLE
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
