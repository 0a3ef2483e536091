"""One type per kind of id, so that a swapped argument fails the type check."""

from __future__ import annotations

import uuid
from typing import NewType

StaffId = NewType("StaffId", int)
CaseId = NewType("CaseId", int)
PatientId = NewType("PatientId", uuid.UUID)
QuestionId = NewType("QuestionId", uuid.UUID)
RecordId = NewType("RecordId", uuid.UUID)
AppointmentId = NewType("AppointmentId", uuid.UUID)
HoldId = NewType("HoldId", uuid.UUID)
InvitationId = NewType("InvitationId", uuid.UUID)
VisitId = NewType("VisitId", uuid.UUID)
ConsultationId = NewType("ConsultationId", uuid.UUID)
SegmentId = NewType("SegmentId", uuid.UUID)
ConditionCode = NewType("ConditionCode", str)
SpecialtyCode = NewType("SpecialtyCode", str)
ExpertChoiceId = NewType("ExpertChoiceId", uuid.UUID)
WaitEntryId = NewType("WaitEntryId", uuid.UUID)
WaitOfferId = NewType("WaitOfferId", uuid.UUID)
