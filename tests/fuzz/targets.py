"""What is fuzzed: each target takes any bytes and fails only where Consult would misbehave on them.

Errors that a module documents are answers. Everything else that is raised, a limit that does not hold and text of a
stranger that gets into what we write is a finding. Used by hypothesis (test_parsers.py), by the corpus
(test_corpus.py) and by atheris (__main__.py).
"""

from __future__ import annotations

import dataclasses
import json
import re
import struct
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from signaling import h264, rtcp, vp8
from signaling.answer import LocalTransport, SentTrack, write_answer
from signaling.codecs import CodecName
from signaling.compiled import load
from signaling.errors import OfferRefused, OfferTooLarge, SignalingError
from signaling.guard import MAX_SECTIONS, read_offer
from signaling.messages import FROM_BROWSER, MAX_MESSAGE_BYTES, decode, type_name
from signaling.port import local_name
from signaling.rtp import Packet, extend, header_end, unwrap_retransmission
from signaling.segment_file import SegmentFile
from signaling.spool import Description, recover_spool
from signaling.ticket import TicketExpired, TicketInvalid, verify
from signaling.webm import repair
from tests.unit.rooms import WALL_MS

CORPUS = Path(__file__).parent / "corpus"
LOCAL = LocalTransport("user", "password", ("1 1 udp 2130706431 192.0.2.7 5000 typ host",), "AB:CD")
ANSWER_LINE = re.compile(r"[a-z]=[\x20-\x7e]*")
MAX_PICTURE_PIXELS = 65_535


def offer(data: bytes) -> None:
    """An SDP offer; what is answered holds nothing of a stranger's but checked words."""
    text = data.decode("utf-8", "replace")
    try:
        read = read_offer(text)
    except (OfferRefused, OfferTooLarge):
        return
    assert 1 <= len(read.sections) <= MAX_SECTIONS
    sends = {
        section.mid: SentTrack(1 + index, 101 + index, f"slot{index}")
        for index, section in enumerate(read.sections)
        if section.receives and not section.sends
    }
    receives = [section.mid for section in read.sections if section.sends]
    answer = write_answer(read, session_id=1, local=LOCAL, receives=receives, sends=sends)
    lines = answer.split("\r\n")
    assert lines.pop() == ""
    assert all(ANSWER_LINE.fullmatch(line) for line in lines), answer
    assert sum(line.startswith("m=") for line in lines) == len(read.sections)
    assert sum(line.startswith("a=candidate:") for line in lines) == len(read.sections) * len(LOCAL.candidates)


def message(data: bytes) -> None:
    """One text on a socket."""
    text = data.decode("utf-8", "replace")
    try:
        read = decode(text)
    except SignalingError:
        return
    assert len(text) <= MAX_MESSAGE_BYTES
    assert type_name(read) in FROM_BROWSER
    json.dumps(dataclasses.asdict(read), allow_nan=False)


def ticket(data: bytes) -> None:
    """What proves a seat: nobody makes one without the key."""
    from datetime import UTC, datetime

    try:
        verify(data.decode("utf-8", "replace"), b"k" * 32, now=datetime.fromtimestamp(WALL_MS / 1000, UTC))
    except (TicketInvalid, TicketExpired):
        return
    raise AssertionError("a ticket that nobody signed")


def stun(data: bytes) -> None:
    """A datagram that says it is a STUN check, in the port's buffer behind an older and longer one."""
    name = local_name(data, len(data))
    assert len(name) <= len(data)
    assert local_name(bytearray(data) + b"\0\6\0\4evil" * 40, len(data)) == name


def rtp(data: bytes) -> None:
    """The header of a decrypted packet, and what it repeats if it is RTX."""
    at, end = header_end(data, len(data))
    assert (at, end) == (0, 0) or 12 <= at <= end <= len(data)
    repeated = unwrap_retransmission(data[at:end])
    assert repeated is None or 0 <= repeated[0] < 1 << 16
    if len(data) >= 12:
        sequence = int.from_bytes(data[2:4], "big")
        near = int.from_bytes(data[4:8], "big")
        assert extend(sequence, near, 16) & 0xFFFF == sequence
        assert abs(extend(sequence, near, 16) - near) <= 1 << 15


def feedback(data: bytes) -> None:
    """A decrypted RTCP compound packet."""
    found = rtcp.read(data)
    assert len(found) <= len(data)
    for item in found:
        if isinstance(item, rtcp.Nack):
            assert len(item.lost) <= rtcp.MAX_LOST_PER_NACK
            assert all(0 <= one < 1 << 16 for one in item.lost)
        elif isinstance(item, rtcp.BitrateLimit):
            assert item.bitrate_bps >= 0
        elif isinstance(item, rtcp.Loss):
            assert 0 <= item.fraction < 256


def picture(data: bytes) -> None:
    """The payload of one packet, as VP8 and as H.264."""
    assert 0 <= vp8.descriptor_size(data) <= len(data)
    vp8.starts_frame(data)
    vp8.starts_keyframe(data)
    if vp8.is_keyframe(data):
        width, height = vp8.picture_size(data)
        assert 0 <= width < 1 << 14
        assert 0 <= height < 1 << 14
    h264.starts_keyframe(data)
    h264.continues_unit(data)
    units = h264.join_units([data])
    assert sum(map(len, units)) <= len(data)
    h264.is_keyframe(units)
    h264.write_avc(units)
    parameters = h264.find_parameters(units)
    if parameters is not None:
        width, height = h264.picture_size(parameters.sequence)
        assert 0 <= width <= MAX_PICTURE_PIXELS
        assert 0 <= height <= MAX_PICTURE_PIXELS
        h264.write_decoder_configuration(parameters)


def recording(data: bytes) -> None:
    """What a member sends, as it goes into a file: packets of any content, order and time stamp.

    The first byte chooses the codec; then packets: flags, sequence step, timestamp step, ms, length, payload.
    """
    codec: CodecName = "h264" if data[:1] == b"h" else "vp8"
    with tempfile.TemporaryDirectory(prefix="consult-fuzz-") as folder:
        heard: dict[str, list[tuple[Packet, array[float]]]] = {"audio": [], "video": []}
        for kind, packet, room_ms in _packets(data[1:]):
            heard[kind].append((packet, array("d", (room_ms,))))
        written = []
        for way, library in (("python", None), ("c", load())):
            file = SegmentFile(Path(folder) / way, _describe, began_ms=0, codec=codec, library=library)
            file.write(heard)  # type: ignore[arg-type]
            finished = file.finish()
            if finished is not None:
                path = Path(folder) / way / finished.path
                assert repair(path) is not None, "a file that we cannot read ourselves"
                written.append(path.read_bytes())
        assert len(written) in (0, 2)
        assert len(set(written)) <= 1, "both ways make the same file"


def _packets(data: bytes) -> Iterator[tuple[str, Packet, float]]:
    at, arrived_ms = 0, 1_000.0
    sequences, stamps = {"audio": 0, "video": 0}, {"audio": 0, "video": 0}
    while at + 10 <= len(data):
        flags, step, stamp_step, waited_ms, size = struct.unpack_from("!BhlBH", data, at)
        kind = "audio" if flags & 1 else "video"
        sequences[kind] += step
        stamps[kind] = (stamps[kind] + stamp_step) & 0xFFFFFFFF
        arrived_ms += waited_ms
        size = min(size, 1_400)
        payload = data[at + 10 : at + 10 + size] * (40 if flags & 4 else 1)
        at += 10 + size
        yield kind, Packet(sequences[kind], stamps[kind], bool(flags & 2), payload, arrived_ms), arrived_ms


def _describe(offset_ms: int) -> Description:
    return Description(
        room_id="room", segment_id="segment", member_id="member", person_id="person", name="Ana", role="patient",
        offset_ms=offset_ms, started_at="2026-01-01T00:00:00+00:00", codec="vp8",
    )  # fmt: skip


def spool(data: bytes) -> None:
    """A recording as a crash or a bad disk left it: recovery goes on, whatever one file holds."""
    with tempfile.TemporaryDirectory(prefix="consult-fuzz-") as folder:
        path = Path(folder) / "segment.webm"
        path.write_bytes(data)
        facts = repair(path)
        if facts is not None:
            assert 0 <= facts.duration_ms < 1 << 53
            assert repair(path) == facts, "a file that was repaired is whole"
        room = Path(folder) / "room"
        room.mkdir()
        (room / "one.webm").write_bytes(data)
        (room / "one.json").write_bytes(data)
        recover_spool(Path(folder))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "offer": offer,
    "message": message,
    "ticket": ticket,
    "stun": stun,
    "rtp": rtp,
    "feedback": feedback,
    "picture": picture,
    "recording": recording,
    "spool": spool,
}


def seeds(name: str) -> list[bytes]:
    """The corpus of a target: real examples, and what was found."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
