"""How a link's secret and short code are written, hashed and read back from what people type.

Pure: randomness comes in as bytes. A secret has 256 random bits and stands in the URL's fragment; the database holds
SHA-256 of it alone. The short code is hashed together with its appointment, so that equal codes look different.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from consult.domain.ids import AppointmentId, InvitationId
from consult.scheduling.model import IssuedLink

SECRET_BYTES = 32
CODE_BYTES = 16
CODE_CHARS = 8
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is taken for something else: no 0 O, 1 I L, U
MAX_CODE_TRIES = 5


@dataclass(frozen=True, slots=True)
class FreshLink:
    """A link before it is written down. Its hashes go into the database, the rest to the person alone."""

    invitation_id: InvitationId
    appointment_id: AppointmentId
    secret: str
    code: str

    @property
    def secret_hash(self) -> bytes:
        return hash_secret(self.secret)

    @property
    def code_hash(self) -> bytes:
        return hash_code(self.appointment_id, self.code)

    def issued(self, number: int) -> IssuedLink:
        """number: of the appointment."""
        return IssuedLink(self.invitation_id, self.appointment_id, number, self.secret, self.code)

    def __repr__(self) -> str:
        return f"FreshLink(invitation_id={self.invitation_id}, secret and code hidden)"


def encode_secret(random: bytes) -> str:
    """random: SECRET_BYTES from the system's generator."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def encode_code(random: bytes) -> str:
    """Return 8 characters that are hard to misread. random: CODE_BYTES, more than needed, so that none is favoured."""
    number = int.from_bytes(random, "big") % len(CODE_ALPHABET) ** CODE_CHARS  # what follows is quicker with less
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
