"""What a room wants done: everything that `room.Room` decides and `hub.py` carries out, in the order given."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.events import RoomEvent
from signaling.media import MediaMember
from signaling.messages import EndReason, ToBrowser


@dataclass(frozen=True, slots=True)
class Send:
    """One message to some members (never an empty tuple)."""

    to: tuple[str, ...]
    message: ToBrowser


@dataclass(frozen=True, slots=True)
class Tell:
    """A fact for the application."""

    event: RoomEvent


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """The member's socket ends: with `ended{reason}`, or without a word if they asked for it themselves."""

    member_id: str
    reason: EndReason | None


@dataclass(frozen=True, slots=True)
class AcceptOffer:
    member: MediaMember
    sdp: str
    attempt: int


@dataclass(frozen=True, slots=True)
class DropMedia:
    member_id: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing more of a member's sound is forwarded or recorded, until it is switched off again."""

    member_id: str
    on: bool


@dataclass(frozen=True, slots=True)
class ShareScreen:
    """Everybody sees this member's screen; None: nobody's."""

    member_id: str | None


@dataclass(frozen=True, slots=True)
class SwitchRecording:
    """Off takes effect before anything that follows; on waits until every DropMedia before it is done."""

    on: bool


@dataclass(frozen=True, slots=True)
class CloseMedia:
    """Segments are finished and told before anything that follows is told to the application."""


Effect = Send | Tell | CloseSocket | AcceptOffer | DropMedia | Silence | ShareScreen | SwitchRecording | CloseMedia
