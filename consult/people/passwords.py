"""Passwords as argon2id hashes. Hashing is slow on purpose, so it runs in a thread, two at a time."""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from consult.gate import Gate

_HASHER = PasswordHasher()  # argon2id, RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes
_gate = Gate(2)  # 64 MiB each
_decoy: list[str] = []


async def hash_password(password: str) -> str:
    async with _gate():
        return await asyncio.to_thread(_HASHER.hash, password)


async def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash (no such account) it takes as long and says no."""
    async with _gate():
        return await asyncio.to_thread(_verify, password_hash, password)


def needs_rehash(password_hash: str) -> bool:
    return _HASHER.check_needs_rehash(password_hash)


def _verify(password_hash: str | None, password: str) -> bool:
    if not _decoy:
        _decoy.append(_HASHER.hash(secrets.token_urlsafe(16)))
    try:
        return _HASHER.verify(password_hash or _decoy[0], password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False
