"""What an appointment is, how it stands, what keeps a time, and what a link to one is. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from consult.domain.ids import AppointmentId, CaseId, HoldId, InvitationId, PatientId, StaffId, VisitId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.words import N_

DEFAULT_LENGTH = timedelta(minutes=45)
JOIN_BEFORE = timedelta(minutes=30)
JOIN_AFTER = timedelta(hours=2)


class AppointmentState(StrEnum):
    """MISSED: its time went by without a call."""

    BOOKED = "booked"
    LIVE = "live"
    TOOK_PLACE = "took_place"
    MISSED = "missed"
    CANCELLED = "cancelled"


class PatientNeed(StrEnum):
    """What a patient needs so that they can follow the call."""

    INTERPRETER = "interpreter"
    CAREGIVER = "caregiver"
    CAPTIONS = "captions"


class CancelledBy(StrEnum):
    STAFF = "staff"
    PATIENT = "patient"


class ChangeKind(StrEnum):
    BOOKED = "booked"
    MOVED = "moved"
    CANCELLED = "cancelled"
    NEEDS = "needs"


@dataclass(frozen=True, slots=True)
class Appointment:
    """number: what a person types beside the short code. expert_id: who leads; others: a panel's further experts.

    sequence: how often it was changed, as in its calendar entry; a move names the one that the person saw.
    """

    id: AppointmentId
    number: int
    case_id: CaseId
    expert_id: StaffId
    starts_at: datetime
    ends_at: datetime
    booked_by: StaffId
    booked_at: datetime
    cancelled_at: datetime | None
    kind: ConsultationKind = ConsultationKind.FIRST_REVIEW
    sequence: int = 0
    others: tuple[StaffId, ...] = ()
    cancelled_by: CancelledBy | None = None
    cancel_reason: str = ""
    needs: tuple[PatientNeed, ...] = ()
    needs_note: str = ""

    @property
    def expert_ids(self) -> tuple[StaffId, ...]:
        """Everybody of the experts who sits in it, the lead first."""
        return (self.expert_id, *self.others)

    @property
    def slot(self) -> Slot:
        return Slot(self.starts_at, self.ends_at)

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
class PanelMember:
    """An expert of a panel besides its lead."""

    id: StaffId
    name: str
    specialty: str


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
    panel: tuple[PanelMember, ...] = ()

    @property
    def expert_names(self) -> list[str]:
        """Of everybody whom the patient meets, who leads first."""
        return [self.expert_name, *(one.name for one in self.panel)]


@dataclass(frozen=True, slots=True)
class AppointmentChange:
    """What became of an appointment at one moment. by_name: None if the patient did it.

    before, after: its time, None where it was not about that. from_expert, to_expert: names, if another took it over.
    """

    kind: ChangeKind
    changed_at: datetime
    by_name: str | None
    before: Slot | None
    after: Slot | None
    from_expert: str | None
    to_expert: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A time that is kept while somebody decides. expert_ids: the lead first. moving: the appointment to be moved."""

    id: HoldId
    case_id: CaseId
    moving: AppointmentId | None
    kind: ConsultationKind
    expert_ids: tuple[StaffId, ...]
    slot: Slot
    held_at: datetime
    expires_at: datetime


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
class Moved:
    """An appointment after its move. was: before it. link: the patient's new one. guest_links: by person_id.

    lost: the person_ids whose earlier links ended.
    """

    appointment: Appointment
    was: Appointment
    link: IssuedLink
    guest_links: dict[str, IssuedLink]
    lost: list[str]

    @property
    def people_out(self) -> tuple[str, ...]:
        """Who has to be removed from the room by RemovePerson: whose links ended, and experts who were replaced."""
        replaced = sorted(set(self.was.expert_ids) - set(self.appointment.expert_ids))
        return (*(f"person:{one}" for one in self.lost), *(f"staff:{one}" for one in replaced))


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
    kind: ConsultationKind = ConsultationKind.FIRST_REVIEW
    sequence: int = 0
    needs: tuple[PatientNeed, ...] = ()
    needs_note: str = ""
    panel: tuple[PanelMember, ...] = ()

    @property
    def expert_names(self) -> list[str]:
        """Of everybody whom the patient meets, who leads first."""
        return [self.expert_name, *(one.name for one in self.panel)]

    @property
    def is_guest(self) -> bool:
        """Somebody besides the patient: sees who and when, and of the records what is being shown."""
        return self.role != "patient"


@dataclass(frozen=True, slots=True)
class LeftVisit:
    """What a device may still be told whose link ended because its appointment was moved or cancelled.

    starts_at: as it is now. expert_names: the lead of a panel first. wish: what the patient wrote about another time,
    None if they asked for none.
    """

    appointment_id: AppointmentId
    language: str
    time_zone: str
    has_email: bool
    starts_at: datetime
    expert_names: tuple[str, ...]
    cancelled_at: datetime | None
    cancelled_by: CancelledBy | None
    wish: str | None


@dataclass(frozen=True, slots=True)
class TimeWish:
    """What a patient wrote about another time, "" if days and times said it all. is_waiting: on the wait list."""

    text: str
    wished_at: datetime
    is_waiting: bool


GUEST_COMES_AS = {
    "interpreter": N_("You come as the interpreter."),
    "caregiver": N_("You come to be with the patient."),
    "physician": N_("You come as the referring physician."),
}


@dataclass(frozen=True, slots=True)
class Invited:
    """A person whose links to an appointment are good. invitation_ids: one per link; has_opened: any of them.

    email: of a guest who gets mails, "" of everybody else. by_patient: a guest whom the patient brings, not the clinic.
    """

    person_id: uuid.UUID
    name: str
    role: str
    invitation_ids: tuple[InvitationId, ...]
    has_opened: bool
    email: str = ""
    by_patient: bool = False

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


def opens_until(ends_at: datetime) -> datetime:
    """The end of a link's life: two hours after the appointment's end."""
    return ends_at + JOIN_AFTER


def may_join_at(visit: Visit, now: datetime) -> bool:
    """Whether a seat may be given: from 30 minutes before the start to 2 hours after the end."""
    return visit.starts_at - JOIN_BEFORE <= now < opens_until(visit.ends_at)
