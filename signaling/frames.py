"""From packets to frames, for the recorder: order restored, pictures put together, loss cut out.

Each track gives frames with their place on the room's clock. A picture with a missing packet is dropped, and with it
all pictures up to the next keyframe, since they build upon it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from signaling.rtp import Packet
from signaling.vp8 import descriptor_size, is_keyframe, starts_frame

REORDER_MS: Final = 800  # longer than a retransmission takes, its repetition included
MAX_HELD_PACKETS: Final = 1024


class Frame(NamedTuple):
    room_ms: float
    data: bytes
    keyframe: bool


class AudioFrames:
    """Opus: every packet is a frame. Their order is restored by their times, later."""

    def push(self, packet: Packet, room_ms: float) -> list[Frame]:
        return [Frame(room_ms, packet.payload, True)] if packet.payload else []

    def flush(self) -> list[Frame]:
        return []


class VideoFrames:
    """VP8. wants_keyframe: a picture is lost, nothing can be shown before a keyframe."""

    def __init__(self) -> None:
        self.wants_keyframe = True
        self._next: int | None = None
        self._held: dict[int, tuple[Packet, float]] = {}
        self._parts: list[bytes] = []
        self._begun_ms = 0.0

    def push(self, packet: Packet, room_ms: float) -> list[Frame]:
        """Return the pictures that this packet completes."""
        if self._next is None:
            if not starts_frame(packet.payload):
                return []
            self._next = packet.sequence
        if packet.sequence < self._next:
            return []
        self._held[packet.sequence] = (packet, room_ms)
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

    def _gave_up(self, latest: Packet) -> bool:
        oldest = next(iter(self._held.values()))[0]
        return latest.arrived_ms - oldest.arrived_ms > REORDER_MS or len(self._held) > MAX_HELD_PACKETS

    def _skip(self) -> None:
        """Go on behind the gap."""
        self._next = min(self._held)
        self._parts = []
        self.wants_keyframe = True

    def _take_ready(self) -> list[Frame]:
        frames = []
        while self._next is not None and (held := self._held.pop(self._next, None)) is not None:
            self._next += 1
            frame = self._add(*held)
            if frame is not None:
                frames.append(frame)
        return frames

    def _add(self, packet: Packet, room_ms: float) -> Frame | None:
        payload = packet.payload
        at = descriptor_size(payload)
        if at == 0:
            return None
        if starts_frame(payload):
            self._parts = []
            self._begun_ms = room_ms
        elif not self._parts:
            return None
        self._parts.append(payload[at:])
        if not packet.marker:
            return None
        data = b"".join(self._parts)
        self._parts = []
        keyframe = is_keyframe(data)
        if self.wants_keyframe and not keyframe:
            return None
        self.wants_keyframe = False
        return Frame(self._begun_ms, data, keyframe)
