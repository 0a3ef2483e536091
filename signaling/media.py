"""What a room asks of its media, and what media tells the room: the seam between hub.py and relay.py.

Owns the Media protocol and the facts that cross it. `relay.RoomMedia` is the real one; tests of rooms use a small fake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from signaling.messages import Slot, Source


@dataclass(frozen=True, slots=True)
class MediaMember:
    """Whose sound and picture it is: the name and role go into the recording's description."""

    member_id: str
    person_id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """Whose track arrives in which media section of a member's connection number `attempt`."""

    member_id: str
    attempt: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class PeerConnected:
    member_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class PeerLost:
    member_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class SegmentFinished:
    """One Segment is complete in the spool. path: relative to the spool; offset_ms: room clock at the file's time zero.

    started_at: the consultation's start, ISO 8601."""

    room_id: str
    member_id: str
    person_id: str
    name: str
    role: str
    segment_id: str
    path: str
    offset_ms: int
    duration_ms: int
    has_audio: bool
    has_video: bool
    started_at: str
    source: Source = "camera"


@dataclass(frozen=True, slots=True)
class SpoolFailed:
    """Nothing can be written any more; the call goes on. reason: for the log."""

    reason: str


MediaEvent = SlotsChanged | PeerConnected | PeerLost | SegmentFinished | SpoolFailed


class Media(Protocol):
    """The sound and picture of one room. Every call comes from the event loop, and so does `tell`."""

    async def accept_offer(self, member: MediaMember, sdp: str, attempt: int) -> str:
        """Return the answer SDP; replaces the member's earlier connection. Raises MediaError."""

    def resume(self, member_id: str) -> int | None:
        """Return the attempt of a member's connection that stands, and tell its slots again; None if there is none."""

    async def drop(self, member_id: str) -> None:
        """Close a member's connection; none of their packets is forwarded or recorded after it returns."""

    def silence(self, member_id: str, on: bool) -> None:
        """From now on none of their sound is forwarded or recorded, on this connection and the next; or again."""

    def share_screen(self, member_id: str | None) -> None:
        """Everybody gets this member's screen, and it is recorded with the rest; None: nobody's."""

    def set_recording(self, on: bool) -> None:
        """Cut exactly here: one segment per member from on to off."""

    async def close(self) -> None:
        """Finish the segments and tell them, close all connections."""


class MediaFactory(Protocol):
    def __call__(
        self, room_id: str, *, clock: Callable[[], int], tell: Callable[[MediaEvent], None], started_at: str
    ) -> Media:
        """Return the media of a new room. clock: ms since the consultation's start, never going back."""
