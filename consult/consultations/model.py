"""A Consultation and what it leaves: attendances, consents, segments. Also the rule when its door is open.

Pure: standard library and `consult.domain` alone. Times in ms are on the consultation's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo


class Door(StrEnum):
    OPEN = "open"
    TOO_EARLY = "too_early"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Booking:
    """What decides whether somebody may sit in the room of an appointment. panel_ids: its experts besides the lead."""

    appointment_id: UUID
    case_id: int
    expert_id: int
    expert_zone: str
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None
    started_at: datetime | None
    over_at: datetime | None
    panel_ids: Sequence[int] = ()

    def is_hosted_by(self, staff_id: int) -> bool:
        """Whether somebody of the staff is its expert, or one of the panel's."""
        return staff_id == self.expert_id or staff_id in self.panel_ids

    def door_for_guests(self, now: datetime, *, before: timedelta, after: timedelta) -> Door:
        """Patients and their company: from `before` the start to `after` the end."""
        return self._door(now, early=now < self.starts_at - before, late=now >= self.ends_at + after)

    def door_for_expert(self, now: datetime, *, before: timedelta, after: timedelta) -> Door:
        """The expert of the appointment: any time on its day, in their own zone, and as long as guests may come."""
        zone = ZoneInfo(self.expert_zone)
        midnight = self.starts_at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        is_its_day = now.astimezone(zone).date() <= self.ends_at.astimezone(zone).date()
        late = now >= self.ends_at + after and not is_its_day
        return self._door(now, early=now < min(midnight, self.starts_at - before), late=late)

    def _door(self, now: datetime, *, early: bool, late: bool) -> Door:
        if self.over_at is not None and self.over_at <= now:
            return Door.OVER
        if self.cancelled_at is not None:
            return Door.CANCELLED
        if early:
            return Door.TOO_EARLY
        return Door.CLOSED if late else Door.OPEN


@dataclass(frozen=True, slots=True)
class Standing:
    """What was already so for one device and the person behind it."""

    admitted: bool
    consented: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class Consultation:
    id: UUID
    appointment_id: UUID
    case_id: int
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class Attendance:
    """Somebody was in the room from joined_ms to left_ms (None: still there, or nobody saw them go)."""

    member_id: str
    person_id: str
    name: str
    role: str
    joined_ms: int
    left_ms: int | None
    left_reason: str | None


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's last answer to "May we record this call?"."""

    person_id: str
    given: bool
    at_ms: int
    wording: str


@dataclass(frozen=True, slots=True)
class Segment:
    """An uninterrupted piece of one participant's recording, filed. source: camera (with the sound), or screen."""

    id: UUID
    consultation_id: UUID
    member_id: str
    person_id: str
    name: str
    role: str
    offset_ms: int
    duration_ms: int
    has_audio: bool
    has_video: bool
    media_type: str
    size_bytes: int
    blob_key: str
    source: str = "camera"

    @property
    def end_ms(self) -> int:
        return self.offset_ms + self.duration_ms

    @property
    def is_screen(self) -> bool:
        return self.source == "screen"


class VideoState(StrEnum):
    """How far the one video of a consultation is."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"

    @property
    def is_busy(self) -> bool:
        return self in (VideoState.WAITING, VideoState.RUNNING)


@dataclass(frozen=True, slots=True)
class Video:
    """Everybody beside each other in one file. blob_key: of the last one that was made, kept while another is made.

    segments: how many of the recording's segments were filed when it was made.
    """

    consultation_id: UUID
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failed_at: datetime | None
    tries: int
    done_ms: int
    all_ms: int
    segments: int
    blob_key: str | None
    size_bytes: int | None
    duration_ms: int | None

    @property
    def state(self) -> VideoState:
        if self.finished_at is not None:
            return VideoState.READY
        if self.failed_at is not None:
            return VideoState.FAILED
        return VideoState.RUNNING if self.started_at is not None else VideoState.WAITING


@dataclass(frozen=True, slots=True)
class SpooledSegment:
    """A finished file in the recorder's spool, as its event describes it. path: relative to the spool."""

    segment_id: UUID
    appointment_id: UUID
    member_id: str
    person_id: str
    name: str
    role: str
    path: str
    offset_ms: int
    duration_ms: int
    has_audio: bool
    has_video: bool
    source: str


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One thing a room told us, as it was kept."""

    kind: str
    at_ms: int
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of a record on everybody's screen."""

    record_id: str
    page: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Written:
    """A line of chat."""

    line_id: str
    member_id: str
    person_id: str
    name: str
    role: str
    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was recorded. paused: because the host paused, otherwise nobody was there or somebody had not agreed."""

    start_ms: int
    end_ms: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything of a consultation on its clock, but the words that were said."""

    length_ms: int
    shown: tuple[Shown, ...]
    written: tuple[Written, ...]
    gaps: tuple[Gap, ...]
