"""Who waits for a time, what fits them, in which order they are asked, and how long a time is kept for one. Pure.

Days, weekdays and times of day of an entry are the patient's: local in their zone, or in the expert's while theirs is
not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from consult.domain.ids import AppointmentId, CaseId, HoldId, PatientId, StaffId, WaitEntryId, WaitOfferId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot
from consult.domain.words import N_

EVERY_WEEKDAY = frozenset(range(7))
MAX_NOTE_CHARS = 500
MOST_IN_PANEL = 6
MOST_EXPERTS = 20
MAX_UNANSWERED = 3  # so many offers in a row without an answer, and the scheduler looks at it before there is another
SHORTEST_OFFER = timedelta(minutes=30)  # a person needs that long to see it
# Of the time that is left until a slot is lost, one person gets at most this part, so that others can be asked too.
PART_OF_WHAT_IS_LEFT = 3
LEAST_PART = timedelta(hours=2)


class Outcome(StrEnum):
    """LEFT: no, and off the list. WITHDRAWN: by the clinic, or because the time was lost."""

    TAKEN = "taken"
    DECLINED = "declined"
    LEFT = "left"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"


class PartOfDay(StrEnum):
    """When a patient would rather come."""

    ANY = "any"
    MORNING = "morning"
    AFTERNOON = "afternoon"


class Ended(StrEnum):
    """How an entry left the list. LEFT: by the patient's wish. REMOVED: by staff."""

    FULFILLED = "fulfilled"
    LEFT = "left"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a time must be like. expert_ids: none: any; for a panel all of them, who leads first.

    day_from, day_to: both included. weekdays: Monday is 0. The call begins at time_from or later, is over by time_to.
    """

    kind: ConsultationKind = ConsultationKind.FIRST_REVIEW
    expert_ids: tuple[StaffId, ...] = ()
    day_from: date | None = None
    day_to: date | None = None
    weekdays: frozenset[int] = EVERY_WEEKDAY
    time_from: time | None = None
    time_to: time | None = None

    @property
    def is_panel(self) -> bool:
        return self.kind is ConsultationKind.PANEL

    @property
    def depend_on_zone(self) -> bool:
        """Whether it matters whose days and times of day they are."""
        return self.weekdays != EVERY_WEEKDAY or any((self.day_from, self.day_to, self.time_from, self.time_to))

    def may_be_with(self, expert_id: StaffId) -> bool:
        return not self.expert_ids or expert_id in self.expert_ids

    def allow(self, slot: Slot, zone: ZoneInfo) -> bool:
        """Whether a slot fits in days and times of day, as the clock on the patient's wall shows them."""
        begins, ends = (at.astimezone(zone).replace(tzinfo=None) for at in (slot.starts_at, slot.ends_at))
        day = begins.date()
        if day.weekday() not in self.weekdays:
            return False
        if (self.day_from is not None and day < self.day_from) or (self.day_to is not None and day > self.day_to):
            return False
        if self.time_from is not None and begins.time() < self.time_from:
            return False
        return self.time_to is None or ends <= datetime.combine(day, self.time_to)


@dataclass(frozen=True, slots=True)
class WaitEntry:
    """Somebody on the list. earlier_than, length: of the time they have; None if they have none.

    is_stale: the time that it was about is cancelled or has begun. time_zone: the patient's, None until it is known.
    unanswered: offers in a row that nobody answered. record_count: for the time that preparation takes.
    asked_by_patient: from the link of a cancelled appointment; added_by is who had booked that one.
    """

    id: WaitEntryId
    case_id: CaseId
    patient_id: PatientId
    appointment_id: AppointmentId | None
    wishes: Wishes
    note: str
    is_urgent: bool
    position: int
    added_by: StaffId
    added_at: datetime
    unanswered: int
    set_aside_at: datetime | None
    ended_at: datetime | None
    earlier_than: datetime | None
    length: timedelta | None
    is_stale: bool
    time_zone: str | None
    record_count: int
    asked_by_patient: bool = False

    @property
    def can_be_asked(self) -> bool:
        return self.ended_at is None and self.set_aside_at is None and not self.is_stale

    def wants(self, slot: Slot, zone: ZoneInfo) -> bool:
        """Whether a slot fits, expert and length apart. zone: the expert's, if the patient's is not known."""
        if self.earlier_than is not None and slot.starts_at >= self.earlier_than:
            return False
        return self.wishes.allow(slot, ZoneInfo(self.time_zone) if self.time_zone else zone)


@dataclass(frozen=True, slots=True)
class EntryLine:
    """An entry with the names that its line on the list needs.

    appointment_expert_names: of the time they have, who leads first; none if they have none.
    """

    entry: WaitEntry
    patient_name: str
    patient_email: str
    added_by_name: str
    appointment_expert_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Offer:
    """A time kept for one person. expert_id: of a panel, who leads. others: a panel's other experts, while it is kept.

    appointment_id: the time that would be given up for it; None: none. added_by: who put the entry on the list.
    """

    id: WaitOfferId
    entry_id: WaitEntryId
    case_id: CaseId
    patient_id: PatientId
    appointment_id: AppointmentId | None
    kind: ConsultationKind
    expert_id: StaffId
    others: tuple[StaffId, ...]
    hold_id: HoldId
    added_by: StaffId
    during: Slot
    offered_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None

    def is_open(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class PanelExpert:
    """An expert of an offered panel besides its lead."""

    name: str
    specialty: str


@dataclass(frozen=True, slots=True)
class OfferDetails:
    """An offer with what its page and its mail need. earlier_than: the start of the time that would be given up."""

    offer: Offer
    patient_name: str
    patient_email: str
    patient_phone: str
    patient_language: str
    patient_time_zone: str | None
    expert_name: str
    expert_specialty: str
    expert_time_zone: str
    earlier_than: datetime | None
    panel: tuple[PanelExpert, ...] = ()

    @property
    def expert_names(self) -> list[str]:
        """Everybody who would be there, the lead first."""
        return [self.expert_name, *(one.name for one in self.panel)]


@dataclass(frozen=True, slots=True)
class OfferLink:
    """What a person answers an offer with. It exists only in this moment: the database cannot give it back."""

    offer_id: WaitOfferId
    secret: str

    def url(self, public_url: str) -> str:
        return f"{public_url.rstrip('/')}/offer#{self.secret}"

    def __repr__(self) -> str:
        return f"OfferLink(offer_id={self.offer_id}, secret hidden)"


def in_order(entries: Iterable[WaitEntry]) -> list[WaitEntry]:
    """Return entries as they are asked: urgent ones first, then by their place."""
    return sorted(entries, key=lambda one: (not one.is_urgent, one.position))


def neighbour(entries: Sequence[WaitEntry], entry_id: WaitEntryId, *, up: bool) -> WaitEntry | None:
    """Return the entry to change places with, None at the end of its group: urgent ones stay before the others."""
    ordered = in_order(entries)
    place = next((number for number, one in enumerate(ordered) if one.id == entry_id), None)
    if place is None:
        return None
    beside = place - 1 if up else place + 1
    if not 0 <= beside < len(ordered) or ordered[beside].is_urgent is not ordered[place].is_urgent:
        return None
    return ordered[beside]


def choose(
    entries: Iterable[WaitEntry],
    free: Mapping[WaitEntryId, Sequence[Slot]],
    asked: Mapping[WaitEntryId, Sequence[Slot]],
    zone: ZoneInfo,
) -> tuple[WaitEntry, Slot] | None:
    """Return whom to ask next and for which slot: the first in order whom one fits, and their earliest one.

    free: the slots of each entry's length that can be had. asked: what each has been offered before; no part of
    it is offered to them again. zone: the expert's.
    """
    for entry in in_order(entries):
        if not entry.can_be_asked:
            continue
        before = asked.get(entry.id, ())
        for slot in sorted(free.get(entry.id, ())):
            if entry.wants(slot, zone) and not any(slot.overlaps(one) for one in before):
                return entry, slot
    return None


def offer_ends_at(starts_at: datetime, now: datetime, *, usual: timedelta, notice: timedelta) -> datetime | None:
    """Return until when a slot is kept for one person; None if there is no time left to ask anybody.

    Never past the start minus the expert's notice. Where that is near, one person gets a part of what is left, so that
    the next one can be asked too.
    """
    latest = starts_at - notice
    left = latest - now
    if left < SHORTEST_OFFER:
        return None
    part = max(left / PART_OF_WHAT_IS_LEFT, min(LEAST_PART, left))
    ends_at = now + min(usual, part)
    return min(ends_at.replace(microsecond=0), latest)


def wrong_wishes(wishes: Wishes, note: str, today: date) -> dict[str, str]:
    """Return a sentence for each field that cannot stand. today: the patient's."""
    wrong: dict[str, str] = {}
    if wishes.day_to is not None and wishes.day_to < today:
        wrong["day_to"] = N_("This day is over. Choose a later one, or leave it empty.")
    if wishes.day_from is not None and wishes.day_to is not None and wishes.day_to < wishes.day_from:
        wrong["day_to"] = N_("The last day lies before the first one.")
    if not wishes.weekdays or not wishes.weekdays <= EVERY_WEEKDAY:
        wrong["weekdays"] = N_("Choose at least one day of the week.")
    if wishes.time_from is not None and wishes.time_to is not None and wishes.time_to <= wishes.time_from:
        wrong["time_to"] = N_("The end must be later than the start.")
    if wishes.is_panel and len(wishes.expert_ids) < 2:
        wrong["experts"] = N_("Choose who sits in the panel: two experts at least.")
    elif wishes.is_panel and len(wishes.expert_ids) > MOST_IN_PANEL:
        wrong["experts"] = N_("A panel has six experts at most.")
    elif len(wishes.expert_ids) > MOST_EXPERTS:
        wrong["experts"] = N_("Choose twenty experts at most, or nobody if it does not matter.")
    if len(note) > MAX_NOTE_CHARS:
        wrong["note"] = N_("This is too long. Please write it shorter.")
    return wrong
