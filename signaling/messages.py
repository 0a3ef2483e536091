"""The wire messages between a browser and a room: one dataclass each, a registry, decode and encode.

A message is one JSON object with `type` and the fields of its dataclass. Unknown fields are ignored, unknown types
raise MessageUnknown. `docs/protocol.md` explains every message in the order of a call; a test compares the two.
Times in ms are on the room's clock (ms since the consultation's start). Coordinates x, y run from 0 to 1 over the page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from signaling.errors import MessageMalformed, MessageTooLarge, MessageUnknown, SignalingError
from signaling.ticket import Grant, Role

VERSION = 1
MAX_MESSAGE_BYTES = 96 * 1024  # the largest is an offer, whose SDP may have 64 kB
MAX_SDP_CHARS = 64 * 1024
MAX_CHAT_CHARS = 2000
CONSENT_WORDING = "recording-1"  # the sentence people answer; a changed sentence gets a new name

Id = Annotated[str, Field(min_length=1, max_length=64)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
IcePolicy = Literal["all", "relay"]  # relay: media goes through a TURN server or not at all
Grade = Literal["good", "weak", "bad"]
Source = Literal["camera", "screen"]
RecordingState = Literal["off", "asking", "on", "paused", "failed"]
EndReason = Literal["ended", "refused", "removed", "superseded", "expired", "idle", "cancelled", "restarting"]


@dataclass(frozen=True, slots=True)
class View:
    """What is on screen: a record (None: nothing is shown), its page from 1, zoom (1: the page fits), the page's point
    in the middle of the stage, rotation in degrees clockwise."""

    record_id: Annotated[str, Field(max_length=64)] | None = None
    page: Annotated[int, Field(ge=1, le=100_000)] = 1
    zoom: Annotated[float, Field(ge=0.1, le=32, allow_inf_nan=False)] = 1.0
    x: Unit = 0.5
    y: Unit = 0.5
    rotation: Literal[0, 90, 180, 270] = 0


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in the room or its lobby, as others see them. connected: their socket is open at this moment.

    second_device: the same person is in the room or lobby already, on another device. muted: a host silenced them, and
    they have not unmuted since."""

    member_id: str
    person_id: str
    name: str
    role: Role
    grants: tuple[Grant, ...]
    admitted: bool
    connected: bool
    microphone: bool
    camera: bool
    second_device: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """state: off (somebody said no, or no host is there), asking, on, paused (by the host), failed (the disk; the call
    goes on). awaiting, refused: member ids. on_ms: how much was recorded; it grows only while state is on."""

    state: RecordingState
    awaiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    on_ms: int = 0
    wording: str = CONSENT_WORDING


@dataclass(frozen=True, slots=True)
class ChatLine:
    line_id: str
    member_id: str
    name: str
    role: Role
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Slot:
    """One media section of a member's connection and whose track it carries now (None: empty)."""

    mid: str
    kind: Literal["audio", "video"]
    member_id: str | None
    source: Source = "camera"


# From the browser ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """First message, within 10 s."""

    version: int
    ticket: Annotated[str, Field(max_length=4096)]


@dataclass(frozen=True, slots=True)
class Offer:
    """A new connection for sound and picture, in place of the member's earlier one. attempt: the browser's counter,
    echoed in the answer. Media sections: own audio and video, which also carry the first other's; four more others'
    (audio, video) recvonly; a video section for the room's one screen (sendrecv). Or, of an older page: own audio and
    video (sendonly), then up to 3 × (audio, video) recvonly."""

    sdp: Annotated[str, Field(max_length=MAX_SDP_CHARS)]
    attempt: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Admit:
    member_id: Id


@dataclass(frozen=True, slots=True)
class Refuse:
    member_id: Id


@dataclass(frozen=True, slots=True)
class SetConsent:
    """The answer to "May we record this call?". wording: the sentence that was answered."""

    given: bool
    wording: Id


@dataclass(frozen=True, slots=True)
class SetRecording:
    """The host pauses (wanted: false) or goes on."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Show:
    """Moves the shared View. revision: the sender's counter, echoed in `view`, so that a late echo is not applied."""

    view: View
    revision: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Recall:
    """After a `welcome` with reopened_ms: what this page saw when it heard the room before that last, at_ms on the
    room's clock. on_ms: how much was recorded by then."""

    view: View
    on_ms: Annotated[int, Field(ge=0)]
    at_ms: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Point:
    x: Unit
    y: Unit
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Say:
    """Chat. line_id: made by the browser, so that a line sent again after a reconnection is kept once."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_CHAT_CHARS)]
    line_id: Id


@dataclass(frozen=True, slots=True)
class SetDevices:
    """What this member sends at the moment."""

    microphone: bool
    camera: bool


@dataclass(frozen=True, slots=True)
class ShareScreen:
    """Shows this member's screen to all, or stops it. A host may stop anybody's."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Mute:
    """The host silences somebody."""

    member_id: Id


@dataclass(frozen=True, slots=True)
class Unmute:
    """This member, whom a host had silenced, speaks again."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How this browser finds its connection, measured over the last two seconds. loss: share of packets, the worse of
    both ways. freezes: of others' pictures."""

    round_trip_ms: Annotated[int, Field(ge=0, le=60_000)]
    loss: Unit
    sent_bps: Annotated[int, Field(ge=0, le=1_000_000_000)]
    received_bps: Annotated[int, Field(ge=0, le=1_000_000_000)]
    freezes: Annotated[int, Field(ge=0, le=1000)]


@dataclass(frozen=True, slots=True)
class Leave:
    """The member goes, on purpose. The seat stays theirs until the call ends."""


@dataclass(frozen=True, slots=True)
class End:
    """The host ends the consultation for everyone."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The browser's own heartbeat; answered at once."""

    n: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class AskIceServers:
    """Credentials of TURN servers live ten minutes: fresh ones are asked for before a new connection."""


# To the browser ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """You are in the lobby. host_present: who can let you in is there. room_full: somebody must leave first."""

    member_id: str
    host_present: bool
    second_device: bool = False
    room_full: bool = False


@dataclass(frozen=True, slots=True)
class Knock:
    """To hosts: somebody waits."""

    member: Member


@dataclass(frozen=True, slots=True)
class KnockGone:
    member_id: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """You are in the room. Everything a page needs to draw itself, after a reload too. now_ms: the room's clock.

    media_attempt: the number of your connection that stands; its `slots` follow. None: there is none, make an offer.
    screen: whose screen everybody sees. reopened_ms: when this room had to open again, on the room's clock, and forgot
    what was shown; None: it did not."""

    member_id: str
    now_ms: int
    started_at: str
    members: tuple[Member, ...]
    knocks: tuple[Member, ...]
    view: View
    view_by: str | None
    recording: Recording
    chat: tuple[ChatLine, ...]
    ice_servers: tuple[dict[str, Any], ...]
    media_attempt: int | None = None
    ice_policy: IcePolicy = "all"
    reopened_ms: int | None = None
    screen: str | None = None


@dataclass(frozen=True, slots=True)
class IceServers:
    """What RTCPeerConnection is made with: the servers, with credentials of this socket's own, and the policy."""

    ice_servers: tuple[dict[str, Any], ...] = ()
    ice_policy: IcePolicy = "all"


@dataclass(frozen=True, slots=True)
class Joined:
    member: Member


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody's microphone, camera or connection changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class Left:
    member_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    sdp: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Slots:
    """Whose track arrives in which media section of your connection."""

    attempt: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class ViewChanged:
    view: View
    by: str
    revision: int


@dataclass(frozen=True, slots=True)
class Pointed:
    member_id: str
    x: float
    y: float
    visible: bool


@dataclass(frozen=True, slots=True)
class ScreenChanged:
    """Whose screen everybody sees (None: nobody's)."""

    member_id: str | None


@dataclass(frozen=True, slots=True)
class Muted:
    """A host silenced you. Nobody hears you until you say `unmute`."""

    by: str


@dataclass(frozen=True, slots=True)
class QualityOf:
    """How good somebody else's connection is: the grade, and the latest figures."""

    member_id: str
    grade: Grade
    quality: Quality


@dataclass(frozen=True, slots=True)
class Said:
    line: ChatLine


@dataclass(frozen=True, slots=True)
class RecordingChanged:
    recording: Recording
    now_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The socket closes after this; the page says why and, where it can, what to do."""

    reason: EndReason


@dataclass(frozen=True, slots=True)
class Error:
    """of: the type of the message that caused it, if known. reference: for the log."""

    code: str
    message: str
    reference: str
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    n: int


FromBrowser = (
    Hello | Offer | Admit | Refuse | SetConsent | SetRecording | Show | Point | Say | SetDevices | Leave | End | Ping
    | AskIceServers | Recall | ShareScreen | Mute | Unmute | Quality
)  # fmt: skip
ToBrowser = (
    Waiting | Knock | KnockGone | Welcome | Joined | Changed | Left | Answer | Slots | ViewChanged | Pointed | Said
    | RecordingChanged | Ended | Error | Pong | IceServers | ScreenChanged | Muted | QualityOf
)  # fmt: skip

FROM_BROWSER: dict[str, type] = {
    "hello": Hello, "offer": Offer, "admit": Admit, "refuse": Refuse, "set_consent": SetConsent,
    "set_recording": SetRecording, "show": Show, "point": Point, "say": Say, "set_devices": SetDevices, "leave": Leave,
    "end": End, "ping": Ping, "ask_ice_servers": AskIceServers, "recall": Recall, "share_screen": ShareScreen,
    "mute": Mute, "unmute": Unmute, "quality": Quality,
}  # fmt: skip
TO_BROWSER: dict[type, str] = {
    Waiting: "waiting", Knock: "knock", KnockGone: "knock_gone", Welcome: "welcome", Joined: "joined",
    Changed: "changed", Left: "left", Answer: "answer", Slots: "slots", ViewChanged: "view", Pointed: "pointed",
    Said: "said", RecordingChanged: "recording", Ended: "ended", Error: "error", Pong: "pong",
    IceServers: "ice_servers", ScreenChanged: "screen", Muted: "muted", QualityOf: "quality_of",
}  # fmt: skip

_ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in FROM_BROWSER.items()}


def decode(text: str) -> FromBrowser:
    """Return the message that a browser sent.

    Raises MessageTooLarge, MessageMalformed (not JSON, or a field is missing or of the wrong kind) or MessageUnknown.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(str(len(text)))
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise MessageMalformed("not JSON") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise MessageMalformed("no type")
    adapter = _ADAPTERS.get(fields.pop("type"))
    if adapter is None:
        raise MessageUnknown("type")
    try:
        # Through JSON again: strict mode reads enums and tuples from JSON, but not from Python objects.
        message: FromBrowser = adapter.validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise MessageMalformed(f"{first['type']} at {first['loc']}") from None
    return message


def encode(message: ToBrowser) -> str:
    """Return the JSON text of a message to a browser."""
    return _ENCODER.encode({"type": TO_BROWSER[type(message)], **_fields(message)})


def error_message(error: SignalingError, *, reference: str, of: str | None = None) -> Error:
    """Return what a browser hears of an error. reference: the same in the log."""
    return Error(code=error.code, message=error.message, reference=reference, of=of)


def type_name(message: FromBrowser) -> str:
    return _TYPE_NAMES[type(message)]


def _fields(item: Any) -> dict[str, Any]:
    # Shallow, unlike dataclasses.asdict, which copies every value: pointers are encoded thousands of times a second.
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_fields)
_TYPE_NAMES = {kind: name for name, kind in FROM_BROWSER.items()}
