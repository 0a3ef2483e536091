"""From packets to frames, for the recorder: order restored, pictures put together, loss cut out.

Each track gives frames with their time in the sender's media and the mapping from there to the room's clock. A picture
with a missing packet is dropped, and with it all pictures up to the next keyframe, since they build upon it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from signaling import h264, vp8
from signaling.codecs import CodecName, Kind
from signaling.rtp import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ, Packet, Run, extend

REORDER_MS: Final = 800  # longer than a retransmission takes, its repetition included
MAX_HELD_PACKETS: Final = 1024
MAX_PICTURE_PACKETS: Final = 1024  # a keyframe has a hundred
ANEW_MS: Final = 2_500  # a packet this far from where the ones before it were placed: the sender began anew


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a keyframe says of the pictures from here on. private: what a file tells decoders (avcC), empty for VP8."""

    width: int
    height: int
    private: bytes = b""


class Mapping:
    """Room time minus media time, for as long as a sender's timestamps run on. It grows better by and by."""

    __slots__ = ("offset_ms",)

    def __init__(self, offset_ms: float) -> None:
        self.offset_ms = offset_ms


class Heard(NamedTuple):
    """A packet or a picture, its time in the sender's media in ms, and the mapping from there to the room's clock."""

    packet: Packet | Run
    media_ms: float
    mapping: Mapping


class Places:
    """Takes from each packet's place on the room's clock what the latest one knows of all of them.

    Frames are written some 300 ms after they were heard; a track's first packets are often late, and by then the
    publication's clock knows.
    """

    def __init__(self, kind: Kind, new_mapping: Callable[[float], Mapping] = Mapping) -> None:
        self.timestamp = -1  # of the last packet, and what became of it
        self.media_ms = 0.0
        self.mapping = new_mapping(0.0)
        self.khz = (AUDIO_CLOCK_HZ if kind == "audio" else VIDEO_CLOCK_HZ) / 1000
        self.latest: int | None = None  # extended timestamp
        self._new_mapping = new_mapping

    def place(self, timestamp: int, room_ms: float) -> None:
        """Take a packet; where it belongs is in media_ms and mapping. One of the same timestamp needs no place anew."""
        if self.latest is None:
            self.latest = timestamp
            self.mapping = self._new_mapping(room_ms - timestamp / self.khz)
        extended = extend(timestamp, self.latest, 32)
        media_ms = extended / self.khz
        offset_ms = room_ms - media_ms
        if abs(offset_ms - self.mapping.offset_ms) > ANEW_MS:
            self.mapping = self._new_mapping(offset_ms)
            self.latest = extended
        elif extended >= self.latest:
            self.mapping.offset_ms = offset_ms
            self.latest = extended
        self.timestamp, self.media_ms = timestamp, media_ms


class Frame(NamedTuple):
    """beginning: None unless it is a keyframe of a picture. sounds: it is no picture."""

    media_ms: float
    mapping: Mapping
    data: bytes
    keyframe: bool
    beginning: Beginning | None = None
    sounds: bool = False

    @property
    def room_ms(self) -> float:
        """Its place on the room's clock, as well as it is known by now."""
        return self.media_ms + self.mapping.offset_ms


class VideoFrames:
    """VP8 or H.264. wants_keyframe: a picture is lost, nothing can be shown before a keyframe."""

    def __init__(self, codec: CodecName = "vp8") -> None:
        self.wants_keyframe = True
        self._pictures = _H264() if codec == "h264" else _Vp8()
        self._next: int | None = None
        self._held: dict[int, Heard] = {}
        self._parts: list[Packet] = []
        self._began: Heard  # the first of them

    @property
    def due(self) -> int | None:
        """The sequence number that the next picture begins with, if it will be shown as it comes."""
        return None if self._held or self._parts or self.wants_keyframe else self._next

    def note_shown(self, due: int) -> None:
        """Pictures that were due were shown, up to the one that is due now."""
        self._next = due

    def push(self, heard: Packet | Run, media_ms: float, mapping: Mapping) -> Sequence[Frame]:
        """Return the pictures that this completes."""
        if isinstance(heard, Packet):
            return self._push(Heard(heard, media_ms, mapping))
        due = heard.sequence == self._next and not self._held and not self._parts
        if heard.frame is not None:
            if not due:
                return self._push(Heard(heard, media_ms, mapping))
            # A whole picture, and the one that is due: as nearly always.
            self._next = heard.sequence + heard.packet_count
            frame = self._show(heard.frame, _vp8_beginning(heard.frame), media_ms, mapping)
            return () if frame is None else (frame,)
        payloads = heard.payloads
        if due and heard.marker and all(payloads) and self._pictures.is_whole(payloads):
            self._next = heard.sequence + heard.packet_count
            frame = self._join(payloads, media_ms, mapping)
            return () if frame is None else (frame,)
        return [frame for packet in heard.packets() for frame in self._push(Heard(packet, media_ms, mapping))]

    def _push(self, heard: Heard) -> list[Frame]:
        packet = heard.packet
        if self._next is None:
            if isinstance(packet, Packet) and not self._pictures.may_begin(packet.payload):
                return []
            self._next = packet.sequence
        if packet.sequence < self._next:
            return []
        if packet.sequence == self._next and not self._held:  # as nearly always
            frame = self._add(heard)
            return [] if frame is None else [frame]
        self._held[packet.sequence] = heard
        frames = self._take_ready()
        while self._held and self._gave_up(packet):
            self._skip()
            frames += self._take_ready()
        return frames

    def flush(self) -> list[Frame]:
        """The end: what waits for a lost packet waits no longer."""
        frames = self._take_ready()
        while self._held:
            self._skip()
            frames += self._take_ready()
        return frames

    def _gave_up(self, latest: Packet | Run) -> bool:
        oldest = next(iter(self._held.values())).packet
        return latest.arrived_ms - oldest.arrived_ms > REORDER_MS or len(self._held) > MAX_HELD_PACKETS

    def _skip(self) -> None:
        """Go on behind the gap."""
        self._next = min(self._held)
        self._parts = []
        self.wants_keyframe = True

    def _take_ready(self) -> list[Frame]:
        frames = []
        while self._next is not None and (held := self._held.pop(self._next, None)) is not None:
            frame = self._add(held)
            if frame is not None:
                frames.append(frame)
        return frames

    def _add(self, heard: Heard) -> Frame | None:
        """Take what is due next."""
        packet = heard.packet
        if isinstance(packet, Run):  # a whole picture
            self._next = packet.sequence + packet.packet_count
            self._parts = []
            frame = packet.frame or b""
            return self._show(frame, _vp8_beginning(frame), heard.media_ms, heard.mapping)
        self._next = packet.sequence + 1
        if not packet.payload:
            return None
        if self._pictures.begins_anew(packet, self._parts[-1] if self._parts else None):
            self._parts = []
            self._began = heard
        elif not self._parts:
            return None
        self._parts.append(packet)
        if len(self._parts) > MAX_PICTURE_PACKETS:
            self._parts = []
            self.wants_keyframe = True
            return None
        if not packet.marker:
            return None
        parts, self._parts = self._parts, []
        return self._join([part.payload for part in parts], self._began.media_ms, self._began.mapping)

    def _join(self, payloads: Sequence[bytes], media_ms: float, mapping: Mapping) -> Frame | None:
        data, beginning = self._pictures.join(payloads)
        return self._show(data, beginning, media_ms, mapping)

    def _show(self, data: bytes, beginning: Beginning | None, media_ms: float, mapping: Mapping) -> Frame | None:
        if not data or (self.wants_keyframe and beginning is None):
            return None
        self.wants_keyframe = False
        return Frame(media_ms, mapping, data, beginning is not None, beginning)


class _Vp8:
    """RFC 7741."""

    def may_begin(self, payload: bytes) -> bool:
        return vp8.starts_frame(payload)

    def is_whole(self, payloads: Sequence[bytes]) -> bool:
        return False  # else it would have come as a frame

    def begins_anew(self, packet: Packet, before: Packet | None) -> bool:
        return vp8.starts_frame(packet.payload)

    def join(self, payloads: Sequence[bytes]) -> tuple[bytes, Beginning | None]:
        data = b"".join(payload[size:] for payload in payloads if (size := vp8.descriptor_size(payload)))
        return data, _vp8_beginning(data)


def _vp8_beginning(picture: bytes) -> Beginning | None:
    return Beginning(*vp8.picture_size(picture)) if vp8.is_keyframe(picture) else None


class _H264:
    """RFC 6184. Nothing marks a picture's first packet but another timestamp than the one before it has."""

    def may_begin(self, payload: bytes) -> bool:
        return h264.starts_keyframe(payload)

    def is_whole(self, payloads: Sequence[bytes]) -> bool:
        """Whether packets of one timestamp up to its end are all that there are of it."""
        return not h264.continues_unit(payloads[0])

    def begins_anew(self, packet: Packet, before: Packet | None) -> bool:
        if before is not None:
            return before.timestamp != packet.timestamp
        return not h264.continues_unit(packet.payload)

    def join(self, payloads: Sequence[bytes]) -> tuple[bytes, Beginning | None]:
        units = h264.join_units(payloads)
        parameters = h264.find_parameters(units) if h264.is_keyframe(units) else None
        if parameters is None:
            return h264.write_avc(units), None
        width, height = h264.picture_size(parameters.sequence)
        return h264.write_avc(units), Beginning(width, height, h264.write_decoder_configuration(parameters))
