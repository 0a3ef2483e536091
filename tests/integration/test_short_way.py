"""The short way of packets in C: whatever arrives, viewers and the recorder get what the long way gives them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import socket
import subprocess
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest
from aiortc.rtcdtlstransport import State

from signaling import compiled
from signaling.answer import SentTrack
from signaling.clocks import MemberClock, TrackClock
from signaling.codecs import Codec
from signaling.compiling import FOLDER
from signaling.frames import Frame, Mapping, VideoFrames
from signaling.guard import Kind, Section
from signaling.ice import IceSettings, MediaPath
from signaling.port import DATAGRAMS_PER_WAKE, Address
from signaling.publication import Heard, Publication
from signaling.rtc_compat import FastLink, open_link
from signaling.rtp import Packet, Run, header_end, read_fixed, unwrap_retransmission, write_packet
from signaling.subscription import Subscription

KEY = bytes(range(28))
KINDS: dict[int, Kind] = {111: "audio", 96: "video"}  # by payload type
SSRCS: dict[Kind, int] = {"audio": 7, "video": 9}
RTX, RTX_SSRC = 97, 10
NOW_S, OFFSET_MS = 100.0, 5_000.0
KEYFRAME = b"\x10\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"
DELTA = b"\x10\x11\x02\x00"
# The next pictures and the next parts of pictures, with all that a descriptor may have, and without what it should.
BEGINNINGS = [
    DELTA, b"\x90\x80\x11\x01", b"\x90\xf0\x81\x11\x01\x20\x01", b"\x90\x80", b"\x80",
    b"\x00", b"\x00", b"\x00", b"\x80\x80\x11", b"\x80\xe0\x81\x11\x01\x20", b"",
]  # fmt: skip

needs_library = pytest.mark.skipif(
    compiled.load() is None, reason="forward.c was not built: python -m signaling.compiling"
)


def session(kind: str) -> pylibsrtp.Session:
    ssrc = getattr(pylibsrtp.Policy, f"SSRC_ANY_{kind}")
    policy = pylibsrtp.Policy(key=KEY, ssrc_type=ssrc, srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    policy.allow_repeat_tx = True
    return pylibsrtp.Session(policy=policy)


class End:
    """A browser's socket and keys, and the link that belongs to it."""

    def __init__(self, path: MediaPath) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: Address = self.socket.getsockname()
        self.tx, self.rx = session("OUTBOUND"), session("INBOUND")
        self.heard: list[bytes] = []
        self.link = open_link(
            IceSettings(hosts=("127.0.0.1",), path=path), on_rtp=self._take, on_rtcp=lambda packet: None
        )
        self.take: Any = lambda *packet: None

    def _take(self, *packet: Any) -> None:
        self.take(*packet)

    async def connect(self) -> None:
        """As ICE and DTLS would."""
        assert isinstance(self.link, FastLink)
        await self.link.gather()
        (line,) = self.link._connection._protocols
        self.link._dtls._rx_srtp, self.link._dtls._tx_srtp = session("INBOUND"), session("OUTBOUND")
        if (
            self.link.short is not None
        ):  # a track that begins anew goes on as much later as has passed: not the same twice
            line.socket._short.c.still_ms = NOW_S * 1000  # type: ignore[attr-defined]
        line.socket.take_over(self.address, line)  # type: ignore[attr-defined]
        self.link.use_path(line.socket, self.address)  # type: ignore[attr-defined]
        self.link._dtls._set_state(State.CONNECTED)

    def hear(self) -> None:
        """Read and decrypt what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(self.rx.unprotect(self.socket.recv(2048)))

    def received(self) -> list[bytes]:
        """Return what has arrived since the last time, in that order."""
        self.hear()
        heard, self.heard = self.heard, []
        return heard

    async def close(self) -> None:
        self.link._dtls._state = State.CLOSED
        await self.link.close()
        self.socket.close()


@dataclass
class Outcome:
    """What came of the packets: what viewers got (sequence, timestamp, marker and type, payload), what was recorded
    (place on the room's clock, keyframe or not, frame), and the figures."""

    viewers: list[dict[str, list[tuple[int, int, int, bytes]]]] = field(default_factory=list)
    recorded: dict[Kind, list[tuple[float, bool, bytes]]] = field(default_factory=dict)
    figures: dict[str, tuple[float | None, ...]] = field(default_factory=dict)


class Journey:
    """One sender, two viewers, a recorder."""

    def __init__(self, path: MediaPath) -> None:
        self.ends = [End(path) for _ in range(3)]
        self.sender, self.viewers = self.ends[0], self.ends[1:]
        self.publications: dict[Kind, Publication] = {}
        self.slots: list[dict[Kind, Subscription]] = []
        self.recorded: dict[Kind, list[tuple[float, bool, bytes]]] = {"audio": [], "video": []}
        self.pictures = VideoFrames()
        self.routes: set[int] = set()

    async def begin(self) -> None:
        for end in self.ends:
            await end.connect()
        self.sender.take = self._receive
        line, clock = self.sender.link.short, MemberClock()
        for kind in KINDS.values():
            self.publications[kind] = publication = Publication(
                kind,
                TrackClock(48_000 if kind == "audio" else 90_000, clock),
                codec="opus" if kind == "audio" else "vp8",
                our_ssrc=1,
                nacks=True,
                send_rtcp=lambda data: None,
                short=line.make_track(packets=128, size_bytes=60_000, offset_ms=OFFSET_MS)
                if line is not None
                else None,
            )
            publication.tap = self._tap(kind)
        for end in self.viewers:
            slot: dict[Kind, Subscription] = {}
            for kind, publication in self.publications.items():
                codec = Codec("opus" if kind == "audio" else "vp8", 120 if kind == "audio" else 121, 122)
                section = Section("1", kind, False, True, (codec,), True)
                slot[kind] = Subscription(
                    section, SentTrack(SSRCS[kind] + 100, SSRCS[kind] + 200, "s"), send_rtp=end.link.send_rtp,
                    takes_bps=lambda: 1, short=end.link.short,
                )  # fmt: skip
                slot[kind].attach(publication, 0)
            self.slots.append(slot)

    def _tap(self, kind: Kind) -> Any:
        recorded, pictures, mapping = self.recorded[kind], self.pictures, Mapping(0.0)

        def tap(heard: Heard, places_ms: array[float]) -> None:
            if kind == "audio":
                sounds = [heard.payload] if isinstance(heard, Packet) else [data for _, data in heard.sounds()]
                recorded.extend((room_ms, True, data) for data, room_ms in zip(sounds, places_ms, strict=True))
                return
            runs: Iterable[Packet | Run] = [heard] if isinstance(heard, Packet) else heard.runs()
            for run, room_ms in zip(runs, places_ms, strict=True):
                recorded.extend(_written_down(pictures.push(run, room_ms, mapping)))

        return tap

    def _receive(self, second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> None:
        """As peer.py does."""
        now_ms = NOW_S * 1000 + OFFSET_MS
        if second & 0x7F == RTX:
            repeated = unwrap_retransmission(payload)
            if repeated is not None:
                self.publications["video"].receive(
                    SSRCS["video"], repeated[0], timestamp, second > 127, repeated[1], now_ms
                )
            return
        kind = KINDS.get(second & 0x7F)
        if kind is None:
            return
        publication = self.publications[kind]
        if self.sender.link.short is not None and publication.short is not None:
            self.sender.link.short.route(ssrc, second & 0x7F, publication.short)
        publication.receive(ssrc, sequence, timestamp, second > 127, payload, now_ms)

    async def send(self, packets: list[bytes]) -> None:
        """In groups of chance size, so that a group is read together."""
        rest = list(packets)
        while rest:
            group, rest = rest[: (size := random.randint(1, 40))], rest[size:]
            for packet in group:
                self.sender.socket.sendto(packet, self._there())
            await asyncio.sleep(0.002)
            for end in self.viewers:
                end.hear()
        await asyncio.sleep(0.05)

    def _there(self) -> Address:
        (line,) = self.sender.link._connection._protocols
        return (line.socket.host, line.socket.port)  # type: ignore[attr-defined]

    def outcome(self) -> Outcome:
        result = Outcome(recorded=self.recorded)
        for publication in self.publications.values():
            publication.catch_up()
        self.recorded["video"].extend(_written_down(self.pictures.flush()))  # what waits for what was lost
        for end, slot in zip(self.viewers, self.slots, strict=True):
            tracks: dict[str, list[tuple[int, int, int, bytes]]] = {"audio": [], "video": []}
            for packet in end.received():
                _, second, sequence, timestamp, ssrc = read_fixed(packet)
                kind: Kind = "audio" if ssrc == SSRCS["audio"] + 100 else "video"
                at, until = header_end(packet, len(packet))
                tracks[kind].append((sequence, timestamp, second, packet[at:until]))
            result.viewers.append({kind: list(_from_zero(track)) for kind, track in tracks.items()})
            for kind, subscription in slot.items():
                result.figures[f"sent {kind}"] = (subscription._packets, subscription.octets)
        for kind, publication in self.publications.items():
            figures = publication._reception
            result.figures[kind] = (publication._highest & 0xFFFF, publication.octets, figures.received)
            result.figures[f"clock of {kind}"] = (figures.arrivals.jitter, publication.clock.lag_ms)
        result.figures["packets"] = (self.sender.link.packets,)
        return result

    async def close(self) -> None:
        for slot in self.slots:
            for subscription in slot.values():
                subscription.detach()
        for end in self.ends:
            await end.close()


def _written_down(frames: Iterable[Frame]) -> list[tuple[float, bool, bytes]]:
    return [(frame.media_ms, frame.keyframe, frame.data) for frame in frames]


def _from_zero(track: list[tuple[int, int, int, bytes]]) -> Iterator[tuple[int, int, int, bytes]]:
    """Numbers and times as they run, whatever they began with."""
    for sequence, timestamp, second, payload in track:
        yield (sequence - track[0][0]) & 0xFFFF, (timestamp - track[0][1]) & 0xFFFFFFFF, second, payload


def chance_packets(chance: random.Random, count: int) -> list[bytes]:
    """What a sender on a bad line, or a hostile one, lets arrive: protected, in the order of arrival."""
    keys = session("OUTBOUND")

    def protect(packet: bytes) -> bytes:
        with contextlib.suppress(pylibsrtp.Error):  # some nonsense is refused by the sender's libsrtp already
            return keys.protect(packet)
        return b"\x80"

    sequences: dict[Kind, int] = {"audio": chance.randrange(1 << 16), "video": 65_500}
    sent: list[bytes] = []
    for number in range(count):
        kind: Kind = chance.choice(("audio", "video", "video"))
        sequence = sequences[kind] = sequences[kind] + 1
        payload_type = 111 if kind == "audio" else 96
        marker = 0x80 if chance.random() < 0.4 else 0
        begins = KEYFRAME if number < 6 or chance.random() < 0.15 else chance.choice(BEGINNINGS)
        payload = (begins if kind == "video" else b"") + chance.randbytes(chance.choice((0, 1, 30, 500, 1_100)))
        timestamp = number // 3 * 3_000
        packet = write_packet(payload_type | marker, sequence, timestamp, SSRCS[kind], payload)
        what = chance.random()
        if what < 0.03:  # padding, perhaps more than there is
            packet = bytes([0xA0]) + packet[1:] + bytes([0, 0, chance.choice((3, 3, 3, 200, 255))])
        elif what < 0.06:  # a header extension, perhaps longer than the packet
            words = chance.choice((0, 1, 1, 2, 900))
            extension = b"\xbe\xde" + words.to_bytes(2, "big") + bytes(4 * min(words, 2))
            packet = bytes([0x90]) + packet[1:12] + extension + packet[12:]
        elif what < 0.08:  # sources, perhaps more than there are
            packet = bytes([0x80 | chance.choice((1, 15))]) + packet[1:12] + bytes(4) + packet[12:]
        elif what < 0.09:  # another payload type
            packet = packet[:1] + bytes([chance.randrange(128)]) + packet[2:]
        if chance.random() < 0.03 and kind == "video":
            repeated = write_packet(
                RTX | marker, number, timestamp, RTX_SSRC, (sequence & 0xFFFF).to_bytes(2, "big") + payload
            )
            sent.append(protect(repeated))
        if chance.random() > 0.03:  # else it is lost
            sent.append(protect(packet))
        if sent and chance.random() < 0.02:
            sent.append(chance.choice(sent[-5:]))  # twice, which SRTP does not take
        if sent and chance.random() < 0.02:
            sent.append(chance.randbytes(chance.randrange(1, 60)))
        if len(sent) > 4 and chance.random() < 0.05:
            sent[-1], sent[-chance.randint(2, 4)] = sent[-chance.randint(2, 4)], sent[-1]
    return sent


async def travel(path: MediaPath, packets: list[bytes]) -> Outcome:
    journey = Journey(path)
    await journey.begin()
    try:
        await journey.send(packets)
        return journey.outcome()
    finally:
        await journey.close()


@needs_library
@pytest.mark.parametrize("seed", range(8))
async def test_both_ways_lead_to_the_same(seed: int) -> None:
    packets = chance_packets(random.Random(seed), 700)
    short, long = await travel("fast", packets), await travel("plain", packets)
    assert long.recorded["video"] and long.viewers[0]["video"], "something travelled"
    assert short.recorded == long.recorded
    assert short.viewers == long.viewers
    assert short.figures == long.figures


@needs_library
async def test_an_ordinary_call_takes_the_short_way() -> None:
    journey = Journey("fast")
    await journey.begin()
    try:
        protect = session("OUTBOUND").protect
        packets = [protect(write_packet(111, number, number * 960, 7, bytes(80))) for number in range(100)]
        received: list[int] = []
        receive = journey.publications["audio"].receive
        journey.publications["audio"].receive = lambda *packet: (received.append(packet[1]), receive(*packet))  # type: ignore
        await journey.send(packets)
        assert len(journey.outcome().viewers[0]["audio"]) == 100
        assert received[0] == 0 and len(received) <= DATAGRAMS_PER_WAKE, "what was read together with the first"
    finally:
        await journey.close()


@needs_library
async def test_what_was_sent_on_the_short_way_can_be_repeated() -> None:
    journey = Journey("fast")
    await journey.begin()
    try:
        protect = session("OUTBOUND").protect
        first = write_packet(96 | 0x80, 0, 0, 9, KEYFRAME)
        rest = [write_packet(96 | 0x80, number, number * 3_000, 9, DELTA + bytes([number])) for number in range(1, 60)]
        await journey.send([protect(packet) for packet in [first, *rest]])
        sequences = [read_fixed(packet)[2] for packet in journey.viewers[0].received()]
        journey.slots[0]["video"].resend((sequences[40], sequences[59]))
        again: list[bytes] = []
        async with asyncio.timeout(10):
            while len(again) < 2:
                await asyncio.sleep(0.005)
                again += journey.viewers[0].received()
        assert [packet[12:] for packet in again] == [
            sequences[at].to_bytes(2, "big") + DELTA + bytes([at]) for at in (40, 59)
        ]
    finally:
        await journey.close()


@needs_library
async def test_nothing_goes_on_after_the_end_of_a_connection() -> None:
    journey = Journey("fast")
    await journey.begin()
    try:
        protect = session("OUTBOUND").protect
        packets = [protect(write_packet(111, number, number * 960, 7, bytes(80))) for number in range(100)]
        await journey.send(packets[:50])
        journey.viewers[0].link.give_up()
        await journey.send(packets[50:])
        outcome = journey.outcome()
        assert [len(viewer["audio"]) for viewer in outcome.viewers] == [50, 100]
        journey.sender.link.give_up()
        await journey.send([protect(write_packet(111, 100, 0, 7, bytes(80)))])
        assert journey.outcome().viewers[1]["audio"] == []
    finally:
        await journey.close()


@needs_library
def test_a_ring_keeps_the_last_packets_and_says_which_it_had() -> None:
    library = compiled.load()
    assert library is not None
    track = compiled.ShortTrack(library, packets=8, size_bytes=100, offset_ms=0)
    for number in range(20):
        track.keep(Packet(number, number * 10, False, bytes([number]) * 30, float(number)))
    assert [number for number in range(20) if track.has_seen(number)] == list(range(12, 20))
    found = {number: packet.payload for number in range(20) if (packet := track.find(number)) is not None}
    assert found == {number: bytes([number]) * 30 for number in range(17, 20)}


@needs_library
def test_a_table_knows_thousands_and_forgets_them() -> None:
    library = compiled.load()
    assert library is not None
    table, lines = compiled.ShortTable(library), dict[Address, compiled.ShortLine]()
    addresses = [(f"10.0.{n // 250}.{n % 250}", 5_000 + n) for n in range(3_000)]
    addresses += [(f"fd00::{n:x}", 5_000) for n in range(1_000)]
    for address in addresses:
        lines[address] = line = compiled.ShortLine(library)
        table.assign(address, line)
    for address in addresses[::2]:
        table.assign(address, None)
    key_of = compiled._write_key
    entries = [table.c.entries[place] for place in range(table.c.size)]
    known = {library.ffi.buffer(entry.key)[:]: entry.sender for entry in entries if entry.known and entry.sender}
    assert known == {key_of(address): lines[address].c for address in addresses[1::2]}
    assert 2 * table.c.used <= table.c.size


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", ["hostile_packets", "hostile_frames"])
def test_what_is_hostile_stays_in_its_place(tmp_path: Path, name: str) -> None:
    """forward.c and settle.c under the sanitizers, in programs of their own."""
    program = tmp_path / name
    source = Path(__file__).with_name(f"{name}.c")
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [
        "cc",
        "-g",
        "-O1",
        *sanitizers,
        f"-I{FOLDER}",
        '-DBUILT_FROM="test"',
        "-o",
        str(program),
        str(source),
        "-lm",
    ]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    if "cannot find" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    for seed in range(12):
        ran = subprocess.run(
            [program, str(seed)], env={"ASAN_OPTIONS": "detect_leaks=0"}, check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, f"seed {seed}: {ran.stderr}"
