"""What rooms tell the application (RoomEvent) and what the application orders rooms to do (RoomCommand).

Events are delivered at least once: consumers recognise a repeated `event_id`. `at_ms` is on the room's clock,
`happened_at` is UTC in ISO 8601. Everything is plain data, so that it passes through JSON unchanged.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RoomEvent:
    event_id: str
    room_id: str
    at_ms: int
    happened_at: str


@dataclass(frozen=True, slots=True)
class RoomOpened(RoomEvent):
    """The first host is in: the consultation starts. happened_at is its start instant; at_ms is 0."""


@dataclass(frozen=True, slots=True)
class _MemberEvent(RoomEvent):
    member_id: str
    person_id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class MemberWaiting(_MemberEvent):
    pass


@dataclass(frozen=True, slots=True)
class MemberAdmitted(_MemberEvent):
    by: str


@dataclass(frozen=True, slots=True)
class MemberJoined(_MemberEvent):
    pass


@dataclass(frozen=True, slots=True)
class MemberLeft(_MemberEvent):
    """reason: left, lost (the connection), refused, removed, superseded, expired, ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConsentGiven(_MemberEvent):
    wording: str


@dataclass(frozen=True, slots=True)
class ConsentRefused(_MemberEvent):
    """Said no, or took a yes back."""

    wording: str


@dataclass(frozen=True, slots=True)
class ViewShown(RoomEvent):
    """The shared View settled: at most one event a second while it moves, and always the last one."""

    by: str
    record_id: str | None
    page: int
    zoom: float
    x: float
    y: float
    rotation: int


@dataclass(frozen=True, slots=True)
class ChatSaid(_MemberEvent):
    line_id: str
    text: str


@dataclass(frozen=True, slots=True)
class MemberMuted(_MemberEvent):
    """A host silenced somebody, who may speak again whenever they want."""

    by: str


@dataclass(frozen=True, slots=True)
class MemberUnmuted(_MemberEvent):
    """Somebody whom a host had silenced speaks again."""


@dataclass(frozen=True, slots=True)
class ScreenShared(_MemberEvent):
    """Everybody sees this member's screen from now on."""


@dataclass(frozen=True, slots=True)
class ScreenStopped(_MemberEvent):
    pass


@dataclass(frozen=True, slots=True)
class LineMeasured(_MemberEvent):
    """How somebody's connection was over the last over_ms: grade good, weak or bad at its end; the worst round trip and
    share of lost packets (0 to 1), mean rates as their browser sent and received, freezes of pictures together."""

    grade: str
    over_ms: int
    round_trip_ms: int
    loss: float
    sent_bps: int
    received_bps: int
    freezes: int


@dataclass(frozen=True, slots=True)
class RecordingSwitched(RoomEvent):
    """state: on, paused, off, failed. by_host: the host wants a pause, whatever else keeps it from going on."""

    state: str
    by_host: bool = False


@dataclass(frozen=True, slots=True)
class RecordingFinished(_MemberEvent):
    """One Segment is complete. path: relative to the spool; offset_ms: room clock at the file's time zero."""

    segment_id: str
    path: str
    offset_ms: int
    duration_ms: int
    has_audio: bool
    has_video: bool
    started_at: str  # the consultation's start, for a room that nobody remembers after a crash
    source: str = "camera"  # or screen


@dataclass(frozen=True, slots=True)
class RoomClosed(RoomEvent):
    """reason: ended (by the host), idle, closed (by the application)."""

    reason: str


@dataclass(frozen=True, slots=True)
class RoomCommand:
    room_id: str


@dataclass(frozen=True, slots=True)
class CloseRoom(RoomCommand):
    reason: str = "closed"


@dataclass(frozen=True, slots=True)
class RemovePerson(RoomCommand):
    """Every device of a person goes, from the lobby too. reason: removed or expired."""

    person_id: str
    reason: str = "removed"


EVENTS: dict[str, type[RoomEvent]] = {
    kind.__name__: kind
    for kind in (
        RoomOpened, MemberWaiting, MemberAdmitted, MemberJoined, MemberLeft, ConsentGiven, ConsentRefused, ViewShown,
        ChatSaid, MemberMuted, MemberUnmuted, ScreenShared, ScreenStopped, LineMeasured, RecordingSwitched,
        RecordingFinished, RoomClosed,
    )
}  # fmt: skip
COMMANDS: dict[str, type[RoomCommand]] = {kind.__name__: kind for kind in (CloseRoom, RemovePerson)}


def to_json(item: RoomEvent | RoomCommand) -> str:
    return json.dumps({"kind": type(item).__name__, **dataclasses.asdict(item)}, separators=(",", ":"))


def event_from_json(text: str | bytes) -> RoomEvent:
    fields: dict[str, Any] = json.loads(text)
    return EVENTS[fields.pop("kind")](**fields)


def command_from_json(text: str | bytes) -> RoomCommand:
    fields: dict[str, Any] = json.loads(text)
    return COMMANDS[fields.pop("kind")](**fields)
