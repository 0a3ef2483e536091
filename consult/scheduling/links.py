"""A person's link to one appointment: its secret, its short code, when it opens and when it lets in.

Pure: randomness comes in as bytes. A secret has 256 random bits and stands in the URL's fragment; the database holds
SHA-256 of it alone. The short code is hashed together with its appointment, so that equal codes look different.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from consult.domain.ids import AppointmentId, CaseId, InvitationId, PatientId, StaffId, VisitId

SECRET_BYTES = 32
CODE_BYTES = 16
CODE_CHARS = 8
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is taken for something else: no 0 O, 1 I L, U
MAX_CODE_TRIES = 5
JOIN_BEFORE = timedelta(minutes=30)
JOIN_AFTER = timedelta(hours=2)


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


@dataclass(frozen=True, slots=True)
class OpenedInvitation:
    """token: the device's new cookie. same_device: the cookie it came with was this person's, so the visit goes on."""

    visit_id: VisitId
    token: str
    appointment_id: AppointmentId
    same_device: bool


def encode_secret(random: bytes) -> str:
    """random: SECRET_BYTES from the system's generator."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def encode_code(random: bytes) -> str:
    """Return 8 characters that are hard to misread. random: CODE_BYTES, more than needed, so that none is favoured."""
    number = int.from_bytes(random, "big")
    letters: list[str] = []
    for _ in range(CODE_CHARS):
        number, place = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[place])
    return "".join(letters)


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def hash_code(appointment_id: AppointmentId, code: str) -> bytes:
    return hashlib.sha256(f"{appointment_id}:{code}".encode()).digest()


def read_code(typed: str) -> str | None:
    """Return the code as it was issued, however it was typed; None if it cannot be one."""
    code = "".join(typed.split()).replace("-", "").replace("–", "").upper()
    return code if len(code) == CODE_CHARS and set(code) <= set(CODE_ALPHABET) else None


def read_number(typed: str) -> int | None:
    """Return an appointment's number from what was typed; None if it cannot be one."""
    digits = "".join(typed.split()).removeprefix("#")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def read_secret(text: str) -> str | None:
    """Return a secret that has the right shape, or None."""
    secret = text.strip().removeprefix("#")
    plain = all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in secret)
    return secret if plain and len(secret) == 43 else None


def opens_until(ends_at: datetime) -> datetime:
    """The end of a link's life: two hours after the appointment's end."""
    return ends_at + JOIN_AFTER


def may_join_at(visit: Visit, now: datetime) -> bool:
    """Whether a seat may be given: from 30 minutes before the start to 2 hours after the end."""
    return visit.starts_at - JOIN_BEFORE <= now < opens_until(visit.ends_at)
