"""`python -m consult.consultations.remux IN OUT`: a recorder's WebM becomes one that players can seek in.

Packets are copied, nothing is transcoded; times stay as they are, so that the segment's offset still holds. Runs as a
process of its own, because what it reads may be the torn file of a crash. Prints one line of JSON: duration_ms,
has_audio, has_video. Exit codes: 0 done, 3 nothing in it can be read, 1 anything else (the disk, for example).
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av

UNREADABLE = 3
_Input = av.AudioStream | av.VideoStream
_MUXER_OPTIONS = {
    "cues_to_front": "1",  # a player seeks without asking for the end of the file first
    "cluster_time_limit": "5000",
    "avoid_negative_ts": "disabled",
}


@dataclass(frozen=True, slots=True)
class Remuxed:
    duration_ms: int
    has_audio: bool
    has_video: bool


class NothingReadable(Exception):
    pass


def remux(source: Path, target: Path) -> Remuxed:
    """Copy every readable packet of source into target. Raises NothingReadable."""
    try:
        with av.open(str(source), "r", format="matroska,webm") as reader:
            return _copy(reader, target)
    except (av.error.InvalidDataError, av.error.EOFError):
        raise NothingReadable("format") from None
    except OSError as error:
        if error.errno == errno.EIO:  # what FFmpeg says of a header that breaks off
            raise NothingReadable("header") from None
        raise


def _copy(reader: av.container.InputContainer, target: Path) -> Remuxed:
    inputs: list[_Input] = [*reader.streams.audio, *reader.streams.video]
    if not inputs:
        raise NothingReadable("no stream")
    ends_s: dict[str, Fraction] = {}
    with av.open(str(target), "w", format="webm", options=_MUXER_OPTIONS) as writer:
        outputs = {stream.index: writer.add_stream_from_template(stream, opaque=True) for stream in inputs}
        last_dts: dict[int, int] = {}
        for packet in _packets(reader, inputs):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            index = packet.stream.index
            if packet.dts <= last_dts.get(index, -(1 << 62)):
                continue  # a torn tail may repeat itself; the muxer takes rising times alone
            last_dts[index] = packet.dts
            end_s = (packet.pts + (packet.duration or 0)) * packet.time_base
            kind = packet.stream.type
            ends_s[kind] = max(ends_s.get(kind, Fraction(0)), Fraction(end_s))
            packet.stream = outputs[index]
            writer.mux(packet)
    if not ends_s:
        raise NothingReadable("no packet")
    return Remuxed(
        duration_ms=round(max(ends_s.values()) * 1000), has_audio="audio" in ends_s, has_video="video" in ends_s
    )


def _packets(reader: av.container.InputContainer, inputs: list[_Input]) -> Iterator[av.Packet[av.stream.Stream]]:
    demuxed = reader.demux(*inputs)
    while True:
        try:
            packet = next(demuxed, None)
        except (av.error.InvalidDataError, av.error.EOFError):
            return  # everything up to the tear is kept
        if packet is None:
            return
        yield packet


def main(arguments: list[str]) -> int:
    source, target = map(Path, arguments)
    os.nice(10)
    try:
        sys.stdout.write(json.dumps(asdict(remux(source, target))) + "\n")
    except NothingReadable as error:
        sys.stderr.write(f"unreadable: {error}\n")
        return UNREADABLE
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
