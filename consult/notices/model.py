"""What was queued for somebody: what kind, for whom, and what became of it. Its text is in the mail alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

from consult.domain.ids import AppointmentId, CaseId, PatientId, StaffId

MailId = NewType("MailId", uuid.UUID)
OfferId = NewType("OfferId", uuid.UUID)


class MailKind(StrEnum):
    """RECORDS_MISSING: an appointment is near and there is no record yet. OFFER: a time became free."""

    INVITATION = "invitation"
    NEW_LINK = "new_link"
    CHANGE = "change"
    CANCELLATION = "cancellation"
    REMINDER_DAY = "reminder_day"
    REMINDER_HOUR = "reminder_hour"
    RECORDS_MISSING = "records_missing"
    OFFER = "offer"

    @property
    def is_reminder(self) -> bool:
        return self in (MailKind.REMINDER_DAY, MailKind.REMINDER_HOUR, MailKind.RECORDS_MISSING)

    @property
    def has_entry(self) -> bool:
        """Whether a calendar entry goes out with it."""
        return self in (MailKind.INVITATION, MailKind.CHANGE, MailKind.CANCELLATION)


class Channel(StrEnum):
    """WEBHOOK: the operator's gateway for text messages gets an event."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class Audience(StrEnum):
    PATIENT = "patient"
    EXPERT = "expert"
    GUEST = "guest"


class MailState(StrEnum):
    """DROPPED: not needed any more when its turn came. BOUNCED: refused for good. FAILED: tried, and tried again."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    BOUNCED = "bounced"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Mail:
    """failed_at, failure: of the last try that failed; a later one may have succeeded.

    recipient: an e-mail address or a phone number; "" while it is not known. about_at: what a reminder is due for.
    sequence: of the calendar entry that went out with it. tries: how often it was handed over or refused.
    """

    id: MailId
    appointment_id: AppointmentId | None
    offer_id: OfferId | None
    kind: MailKind
    channel: Channel
    audience: Audience
    person: str
    recipient: str
    about_at: datetime | None
    sequence: int | None
    again_of: MailId | None
    tries: int
    queued_at: datetime
    sent_at: datetime | None
    failed_at: datetime | None
    failure: str | None
    bounced_at: datetime | None
    bounce_status: str
    dropped_at: datetime | None

    @property
    def state(self) -> MailState:
        if self.bounced_at is not None:
            return MailState.BOUNCED
        if self.sent_at is not None:
            return MailState.SENT
        if self.dropped_at is not None:
            return MailState.DROPPED
        return MailState.FAILED if self.failed_at is not None else MailState.WAITING

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is done about it by itself."""
        return self.state not in (MailState.WAITING, MailState.FAILED)

    @property
    def may_go_again(self) -> bool:
        """Whether staff may send it once more: not while it waits, and not an offer's mail, whose link is made once.

        An event that its gateway took is not told again: it would send another text message.
        """
        if self.channel is Channel.WEBHOOK:
            return self.state in (MailState.FAILED, MailState.BOUNCED)
        return self.appointment_id is not None and self.state in (
            MailState.SENT, MailState.FAILED, MailState.BOUNCED,
        )  # fmt: skip

    @property
    def file_name(self) -> str:
        """What the mail is called in the outbox folder."""
        return f"{self.id.hex}.eml"


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A message as the page of messages shows it. link_opened_at: when the link in it was first opened.

    has_link: whether a link went out in it. appointment_number: None for the offer of a time. again_by_name: who had it
    sent again.
    """

    mail: Mail
    appointment_number: int | None
    has_link: bool
    link_opened_at: datetime | None
    again_by_name: str | None = None


@dataclass(frozen=True, slots=True)
class Unreached:
    """A patient whose mail about an appointment to come came back: they may not know of it."""

    appointment_id: AppointmentId
    starts_at: datetime
    patient_name: str


@dataclass(frozen=True, slots=True)
class PersonToTell:
    """An expert of an appointment, its patient or a guest: where to write, in which language and zone.

    name, role: of a guest alone, whose link is issued to both. known_since: when a guest was invited, None of others.
    """

    audience: Audience
    person: str
    address: str
    language: str
    time_zone: str
    name: str = ""
    role: str = ""
    known_since: datetime | None = None

    def at_home(self, person: str, time_zone: str) -> PersonToTell:
        """Return the same, as another person of the same audience and in another zone."""
        return replace(self, person=person, time_zone=time_zone)


@dataclass(frozen=True, slots=True)
class Occasion:
    """An appointment with whom it concerns: what a message about it needs, and nothing clinical.

    experts: the lead first. guests: those with an address, also when all links ended with the appointment.
    changed_at: when it was booked, moved or cancelled last.
    """

    appointment_id: AppointmentId
    number: int
    case_id: CaseId
    patient_id: PatientId
    sequence: int
    starts_at: datetime
    ends_at: datetime
    booked_at: datetime
    changed_at: datetime
    cancelled_at: datetime | None
    record_count: int
    patient: PersonToTell
    patient_phone: str
    experts: tuple[PersonToTell, ...]
    guests: tuple[PersonToTell, ...] = ()

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled_at is not None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """An appointment for which reminders may be due. known_since: when its time was booked or moved to.

    wants_records: there are none, and no earlier appointment of the case for which they would be asked for.
    told: which reminders were queued for it, each with what it was due for.
    """

    appointment_id: AppointmentId
    starts_at: datetime
    known_since: datetime
    wants_records: bool
    told: frozenset[tuple[MailKind, datetime]]


@dataclass(frozen=True, slots=True)
class OfferToTell:
    """A freed time that somebody on the wait list is offered, as `waiting` gives it when the letter is written.

    address: "" if they have none. path: the page of the offer with its secret behind `#`, such as `/offer#…`.
    """

    patient_id: PatientId
    address: str
    phone: str
    language: str
    time_zone: str
    starts_at: datetime
    expires_at: datetime
    path: str


@dataclass(frozen=True, slots=True)
class Feed:
    """An expert's calendar at a secret address."""

    id: uuid.UUID
    staff_id: StaffId
    made_at: datetime


def mail_id_from(file_name: str) -> MailId | None:
    """Return the mail that a file of the outbox holds, None if no mail is called so."""
    stem, dot, ending = file_name.partition(".")
    try:
        mail_id = MailId(uuid.UUID(hex=stem))
    except ValueError:
        return None
    return mail_id if dot and ending == "eml" and stem == mail_id.hex else None
