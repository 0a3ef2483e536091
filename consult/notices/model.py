"""A mail that was queued for somebody: what kind, to whom, whether it went out. Its text is in the mail alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from consult.domain.ids import AppointmentId

MailId = NewType("MailId", uuid.UUID)


class MailKind(StrEnum):
    INVITATION = "invitation"
    NEW_LINK = "new_link"
    CANCELLATION = "cancellation"


class MailState(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Mail:
    """failed_at, failure: of the last try that failed; a later one may have succeeded."""

    id: MailId
    appointment_id: AppointmentId
    kind: MailKind
    recipient: str
    queued_at: datetime
    sent_at: datetime | None
    failed_at: datetime | None
    failure: str | None

    @property
    def state(self) -> MailState:
        if self.sent_at is not None:
            return MailState.SENT
        return MailState.FAILED if self.failed_at is not None else MailState.WAITING

    @property
    def file_name(self) -> str:
        """What the mail is called in the outbox folder."""
        return f"{self.id.hex}.eml"


def mail_id_from(file_name: str) -> MailId | None:
    """Return the mail that a file of the outbox holds, None if no mail is called so."""
    stem, dot, ending = file_name.partition(".")
    try:
        mail_id = MailId(uuid.UUID(hex=stem))
    except ValueError:
        return None
    return mail_id if dot and ending == "eml" and stem == mail_id.hex else None
