"""When an expert can be booked: working hours, free slots, appointments; and what a link to one is.

Pure. Working hours are local times in the expert's zone. A slot is computed as a naive local time, attached to the zone
and carried through UTC, so that a time which the clock skips does not exist, a time which it repeats is offered once,
and every slot is as long as the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from consult.domain.ids import AppointmentId, CaseId, InvitationId, PatientId, StaffId, VisitId
from consult.domain.words import N_

DEFAULT_LENGTH = timedelta(minutes=45)
SHORTEST = timedelta(minutes=10)
LONGEST = timedelta(hours=3)
MAX_DAYS_AHEAD = 366
MAX_BLOCKS_A_WEEK = 42
JOIN_BEFORE = timedelta(minutes=30)
JOIN_AFTER = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class WorkingBlock:
    """One stretch of a week. weekday: Monday is 0. starts, ends: local, in the expert's zone; ends after starts."""

    weekday: int
    starts: time
    ends: time


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A time that could be booked. Aware UTC; ends_at is not part of it."""

    starts_at: datetime
    ends_at: datetime

    def overlaps(self, other: Slot) -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


class AppointmentState(StrEnum):
    """MISSED: its time went by without a call."""

    BOOKED = "booked"
    LIVE = "live"
    TOOK_PLACE = "took_place"
    MISSED = "missed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Appointment:
    """number: what a person types beside the short code."""

    id: AppointmentId
    number: int
    case_id: CaseId
    expert_id: StaffId
    starts_at: datetime
    ends_at: datetime
    booked_by: StaffId
    booked_at: datetime
    cancelled_at: datetime | None

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled_at is not None

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends_at

    def state(self, now: datetime, *, began_at: datetime | None, ended_at: datetime | None) -> AppointmentState:
        """How it stands. began_at, ended_at: of its call, None until then."""
        if began_at is not None:  # whatever became of the appointment, people talked
            going_on = ended_at is None and now < opens_until(self.ends_at)
            return AppointmentState.LIVE if going_on else AppointmentState.TOOK_PLACE
        if self.is_cancelled:
            return AppointmentState.CANCELLED
        return AppointmentState.MISSED if self.is_over(now) else AppointmentState.BOOKED


@dataclass(frozen=True, slots=True)
class AppointmentDetails:
    """An appointment with the names that every page needs. patient_time_zone: None until their browser said it."""

    appointment: Appointment
    expert_name: str
    expert_specialty: str
    expert_time_zone: str
    patient_name: str
    patient_email: str
    patient_language: str
    patient_time_zone: str | None
    diagnosis: str
    booked_by_name: str


@dataclass(frozen=True, slots=True)
class DayLine:
    """One appointment as it stands on a board.

    waiting_since: somebody is in the lobby and not let in yet. link_opened: a link of it was opened at least once.
    """

    appointment: Appointment
    patient_name: str
    diagnosis: str
    record_count: int
    question_count: int
    link_opened: bool
    waiting_since: datetime | None
    call_started_at: datetime | None
    call_ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """What a person needs to come in. It exists only in this moment: the database cannot give it back.

    secret: belongs behind `/join#`. number and code: for typing in. Never logged, never in a query string.
    """

    invitation_id: InvitationId
    appointment_id: AppointmentId
    number: int
    secret: str
    code: str

    @property
    def code_to_read(self) -> str:
        """The code in two groups of four, as it is printed."""
        return f"{self.code[:4]}-{self.code[4:]}"

    def url(self, public_url: str) -> str:
        return f"{public_url.rstrip('/')}/join#{self.secret}"

    def __repr__(self) -> str:
        return f"IssuedLink(invitation_id={self.invitation_id}, secret and code hidden)"


@dataclass(frozen=True, slots=True)
class Visit:
    """An opened invitation on one device, with what its pages need. Only while the link is good.

    person_id: the same on every device and for every link of this person. role: patient, physician, interpreter or
    caregiver. time_zone: the patient's, None until their browser said it.
    """

    id: VisitId
    invitation_id: InvitationId
    appointment_id: AppointmentId
    appointment_number: int
    case_id: CaseId
    patient_id: PatientId
    patient_name: str
    person_id: str
    role: str
    name: str
    language: str
    time_zone: str | None
    starts_at: datetime
    ends_at: datetime
    expert_id: StaffId
    expert_name: str
    expert_specialty: str
    expert_time_zone: str

    @property
    def is_guest(self) -> bool:
        """Somebody besides the patient: sees who and when, and of the records what is being shown."""
        return self.role != "patient"


@dataclass(frozen=True, slots=True)
class Invited:
    """A person whose links to an appointment are good. invitation_ids: one per link; has_opened: any of them."""

    person_id: uuid.UUID
    name: str
    role: str
    invitation_ids: tuple[InvitationId, ...]
    has_opened: bool

    @property
    def is_guest(self) -> bool:
        return self.role != "patient"


@dataclass(frozen=True, slots=True)
class OpenedInvitation:
    """token: the device's new cookie. same_device: the cookie it came with was this person's, so the visit goes on."""

    visit_id: VisitId
    token: str
    appointment_id: AppointmentId
    same_device: bool


def slots_of(
    blocks: Iterable[WorkingBlock],
    zone: ZoneInfo,
    day_from: date,
    day_to: date,
    length: timedelta,
) -> list[Slot]:
    """Return every slot of the working hours from day_from to day_to, both included, ordered; booked or not.

    Days are the expert's. Slots of a block follow each other without a pause, from its start.
    """
    by_weekday: dict[int, list[WorkingBlock]] = {}
    for block in blocks:
        by_weekday.setdefault(block.weekday, []).append(block)
    slots: list[Slot] = []
    for number in range((day_to - day_from).days + 1):
        day = day_from + timedelta(days=number)
        for block in sorted(by_weekday.get(day.weekday(), ()), key=lambda one: one.starts):
            slots.extend(_slots_of_block(block, zone, day, length))
    return slots


def _slots_of_block(block: WorkingBlock, zone: ZoneInfo, day: date, length: timedelta) -> list[Slot]:
    slots: list[Slot] = []
    local = datetime.combine(day, block.starts)
    block_end = datetime.combine(day, block.ends)
    while local + length <= block_end:
        starts_at = instant_of(local, zone)
        local += length
        if starts_at is None or (slots and starts_at < slots[-1].ends_at):
            continue
        ends_at = starts_at + length
        # Across a gap a slot ends later on the wall than the naive sum: it must still end within the block.
        if ends_at.astimezone(zone).replace(tzinfo=None) <= block_end:
            slots.append(Slot(starts_at, ends_at))
    return slots


def instant_of(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a naive local time: the first of two where the clock repeats it, None where it skips it."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == local else None


def free_of(slots: Iterable[Slot], taken: Sequence[Slot], now: datetime) -> list[Slot]:
    """Return the slots that begin after now and overlap nothing taken."""
    busy = sorted(taken)
    free: list[Slot] = []
    first = 0
    for slot in sorted(slots):
        while first < len(busy) and busy[first].ends_at <= slot.starts_at:
            first += 1
        is_taken = first < len(busy) and busy[first].starts_at < slot.ends_at
        if slot.starts_at > now and not is_taken:
            free.append(slot)
    return free


def nearest(slots: Iterable[Slot], wanted_at: datetime, count: int = 3) -> list[Slot]:
    """Return the slots closest to a wanted start, in the order of time."""
    return sorted(sorted(slots, key=lambda slot: abs(slot.starts_at - wanted_at))[:count])


def day_bounds(day: date, zone: ZoneInfo) -> Slot:
    """Return the first instant of a day in a zone, and that of the next day: 23, 24 or 25 hours."""
    return Slot(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Where the clock skips midnight, the zone's arithmetic gives the first instant after the gap.
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def wrong_blocks(blocks: Sequence[WorkingBlock]) -> dict[int, str]:
    """Return a sentence for each block (by its place) that cannot stand: end before start, or over another block."""
    wrong: dict[int, str] = {}
    for place, block in enumerate(blocks):
        if block.ends <= block.starts:
            wrong[place] = N_("The end must be later than the start.")
            continue
        for earlier in range(place):
            other = blocks[earlier]
            same_day = other.weekday == block.weekday and earlier not in wrong
            if same_day and block.starts < other.ends and other.starts < block.ends:
                wrong[place] = N_("This overlaps other hours on the same day.")
                break
    return wrong


def opens_until(ends_at: datetime) -> datetime:
    """The end of a link's life: two hours after the appointment's end."""
    return ends_at + JOIN_AFTER


def may_join_at(visit: Visit, now: datetime) -> bool:
    """Whether a seat may be given: from 30 minutes before the start to 2 hours after the end."""
    return visit.starts_at - JOIN_BEFORE <= now < opens_until(visit.ends_at)
