"""Appointments at times when their expert does not work: after an absence was entered, or other hours. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import ceil, floor

from consult.availability.model import ExpertTime
from consult.domain.ids import AppointmentId, CaseId
from consult.domain.slots import Slot
from consult.domain.stretches import merged, without


@dataclass(frozen=True, slots=True)
class Booked:
    """An appointment of an expert's that is not over."""

    id: AppointmentId
    case_id: CaseId
    during: Slot
    patient_name: str


class Conflict(StrEnum):
    ABSENT = "absent"
    OUTSIDE_HOURS = "outside_hours"


@dataclass(frozen=True, slots=True)
class Collision:
    booked: Booked
    conflict: Conflict


def collisions_of(time: ExpertTime, booked: Iterable[Booked]) -> list[Collision]:
    """Return the appointments that lie in an absence, or not wholly within the hours; in their order."""
    found: list[Collision] = []
    for one in booked:
        if any(one.during.overlaps(absence) for absence in time.absences):
            found.append(Collision(one, Conflict.ABSENT))
            continue
        day = one.during.starts_at.date()
        days = time.working_days.between(day - timedelta(days=1), day + timedelta(days=1)).days
        call = floor(one.during.starts_at.timestamp()), ceil(one.during.ends_at.timestamp())
        if without([call], merged(stretch for around in days for stretch in around.hours)):
            found.append(Collision(one, Conflict.OUTSIDE_HOURS))
    return found
