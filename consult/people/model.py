"""A member of staff, as everybody else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consult.domain.access import StaffRole
from consult.domain.ids import StaffId

LONG_LIST = 8  # experts; more of them scroll in a place of their own, so that the rest of a page stays in sight


@dataclass(frozen=True, slots=True)
class Staff:
    id: StaffId
    email: str
    name: str
    role: StaffRole
    specialty: str
    time_zone: str
    language: str

    @property
    def home(self) -> str:
        """The page they start on."""
        pages = {StaffRole.SCHEDULER: "/board", StaffRole.EXPERT: "/today", StaffRole.ADMINISTRATOR: "/experts"}
        return pages[self.role]


def in_order(experts: Sequence[Staff], chosen: Sequence[StaffId]) -> Sequence[Staff]:
    """Return experts as a page lists them: by name; of many, whose list scrolls, those who are chosen first."""
    if len(experts) <= LONG_LIST:
        return experts
    return sorted(experts, key=lambda one: chosen.index(one.id) if one.id in chosen else len(chosen))
