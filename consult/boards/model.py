"""What a board shows of an appointment, and of a time that is kept for somebody. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consult.domain.ids import AppointmentId, CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.slots import Slot


class LineState(StrEnum):
    """How an appointment stands now. LATE: its time came, nobody is there; MISSED: it went by without a call."""

    OVER = "over"
    LIVE = "live"
    LOBBY = "lobby"
    LATE = "late"
    MISSED = "missed"
    NO_RECORDS = "no_records"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One appointment as it stands on a board.

    expert_ids: who leads comes first, then the others of a panel. sequence: rises with every move. patient_time_zone:
    None until their browser said it. link_opened: a link of it was opened at least once. waiting_since: somebody is in
    the lobby and not let in yet. booked_again: the case has a later appointment.
    """

    id: AppointmentId
    case_id: CaseId
    expert_ids: tuple[StaffId, ...]
    starts_at: datetime
    ends_at: datetime
    kind: ConsultationKind
    sequence: int
    patient_name: str
    patient_time_zone: str | None
    diagnosis: str
    record_count: int
    question_count: int
    link_opened: bool
    waiting_since: datetime | None
    call_started_at: datetime | None
    call_ended_at: datetime | None
    booked_again: bool

    @property
    def slot(self) -> Slot:
        return Slot(self.starts_at, self.ends_at)

    @property
    def lead_id(self) -> StaffId:
        return self.expert_ids[0]


@dataclass(frozen=True, slots=True)
class KeptTime:
    """A time that is kept for a patient who decides, until expires_at."""

    expert_id: StaffId
    slot: Slot
    patient_name: str
    expires_at: datetime
