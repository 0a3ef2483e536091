"""`python -m consult.consultations.remux IN OUT`: a recorder's file becomes one that every browser can seek in.

WebM stays WebM; H.264, which the recorder writes into Matroska, becomes MP4. Packets are copied, nothing is transcoded;
times stay as they are, so that the segment's offset still holds. Where no sound was sent, packets of silence are put
in: some players let sound run ahead of the picture over a gap. Runs as a process of its own, because what it reads may
be the torn file of a crash. Prints one line of JSON: media_type, duration_ms, has_audio, has_video. Exit codes: 0 done,
3 nothing in it can be read, 1 anything else (the disk, for example).
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
# A player seeks without asking for the end of the file first.
_WEBM = {"cues_to_front": "1", "cluster_time_limit": "5000", "avoid_negative_ts": "disabled"}
_MP4 = {"movflags": "faststart", "avoid_negative_ts": "disabled"}
SILENCE = b"\xf8\xff\xfe"  # Opus, 20 ms of nothing
SILENCE_S = Fraction(20, 1000)
LONGEST_GAP_S = Fraction(4 * 3600)  # a longer one is a broken timestamp


@dataclass(frozen=True, slots=True)
class Remuxed:
    media_type: str
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
    is_h264 = any(stream.codec_context.name == "h264" for stream in reader.streams.video)
    ends_s: dict[str, Fraction] = {}
    kind, options = ("mp4", _MP4) if is_h264 else ("webm", _WEBM)
    with av.open(str(target), "w", format=kind, options=options) as writer:
        outputs = {stream.index: writer.add_stream_from_template(stream, opaque=True) for stream in inputs}
        last_dts: dict[int, int] = {}
        for packet in _packets(reader, inputs):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            stream = packet.stream
            if packet.dts <= last_dts.get(stream.index, -(1 << 62)):
                continue  # a torn tail may repeat itself; the muxer takes rising times alone
            last_dts[stream.index] = packet.dts
            if stream.type == "audio" and "audio" in ends_s:
                for silence in _silence(ends_s["audio"], packet.pts * packet.time_base, packet.time_base):
                    silence.stream = outputs[stream.index]
                    writer.mux(silence)
            end_s = (packet.pts + (packet.duration or 0)) * packet.time_base
            ends_s[stream.type] = max(ends_s.get(stream.type, Fraction(0)), Fraction(end_s))
            packet.stream = outputs[stream.index]
            writer.mux(packet)
    if not ends_s:
        raise NothingReadable("no packet")
    return Remuxed(
        media_type=f"video/{kind}", duration_ms=round(max(ends_s.values()) * 1000), has_audio="audio" in ends_s,
        has_video="video" in ends_s,
    )  # fmt: skip


def _silence(start_s: Fraction, end_s: Fraction, time_base: Fraction) -> Iterator[av.Packet[av.stream.Stream]]:
    """Packets for a gap in the sound; a few ms too little is left as it is."""
    if end_s - start_s > LONGEST_GAP_S:
        return
    at_s = start_s
    while at_s + SILENCE_S <= end_s:
        packet: av.Packet[av.stream.Stream] = av.Packet(SILENCE)
        packet.time_base = time_base
        packet.pts = packet.dts = round(at_s / time_base)
        packet.duration = round(SILENCE_S / time_base)
        packet.is_keyframe = True
        yield packet
        at_s += SILENCE_S


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
