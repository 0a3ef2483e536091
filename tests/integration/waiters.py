"""People on the wait list for tests: cases that want a time, a slot that becomes free, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from consult.domain.ids import AppointmentId, CaseId, StaffId, WaitEntryId, WaitOfferId
from consult.domain.slots import Slot
from consult.scheduling import service as scheduling
from consult.waiting import service as waiting
from consult.waiting.model import OfferDetails, Wishes
from tests.integration.clinic import NOW, Clinic, open_case

USUAL = timedelta(hours=24)


@dataclass(slots=True)
class Told:
    """Stands where the mails are: writes the link of every offer down, as a mail would."""

    secrets: dict[WaitOfferId, str] = field(default_factory=dict)
    order: list[WaitOfferId] = field(default_factory=list)

    async def __call__(self, conn: Any, offer_id: WaitOfferId, now: datetime) -> None:
        self.order.append(offer_id)

    async def secret_of(self, conn: Any, offer_id: WaitOfferId, now: datetime) -> str:
        if offer_id not in self.secrets:
            link = await waiting.issue_link(conn, offer_id, now)
            assert link is not None
            self.secrets[offer_id] = link.secret
        return self.secrets[offer_id]


async def put_on_list(
    conn: Any,
    clinic: Clinic,
    name: str,
    *,
    wishes: Wishes | None = None,
    now: datetime = NOW,
    case_id: CaseId | None = None,
    appointment_id: AppointmentId | None = None,
    is_urgent: bool = False,
    email: str | None = None,
) -> WaitEntryId:
    address = f"{name.lower()}@example.org" if email is None else email
    case_id = case_id or await open_case(conn, clinic.scheduler, name=name, email=address, now=now)
    return await waiting.add(
        conn, case_id, wishes or Wishes(), appointment_id=appointment_id, is_urgent=is_urgent,
        added_by=clinic.scheduler, now=now,
    )  # fmt: skip


async def free_slots(conn: Any, expert_id: StaffId, now: datetime = NOW, days: int = 5) -> list[Slot]:
    day = now.date()
    found: list[Slot] = await scheduling.free_slots(conn, expert_id, day, day + timedelta(days=days), now=now)
    return found


async def offer(
    conn: Any, clinic: Clinic, slot: Slot, told: Told, *, now: datetime = NOW, usual: timedelta = USUAL
) -> list[OfferDetails]:
    """Have a slot offered now, as its job would."""
    made = await waiting.offer_freed(conn, clinic.expert, slot, usual=usual, now=now, tell=told)
    return [await waiting.fetch_offer(conn, one) for one in made]
