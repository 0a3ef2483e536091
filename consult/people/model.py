"""A member of staff, as everybody else sees them."""

from __future__ import annotations

from dataclasses import dataclass

from consult.domain.access import StaffRole
from consult.domain.ids import StaffId


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
