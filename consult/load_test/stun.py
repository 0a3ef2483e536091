"""STUN messages as ICE uses them (RFC 8489, RFC 8445 §7): written, checked and read. Owns bytes alone, no sockets."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import secrets
import struct
from dataclasses import dataclass

REQUEST, RESPONSE = 0x0001, 0x0101
COOKIE = 0x2112A442
USERNAME, INTEGRITY, XOR_ADDRESS, PRIORITY = 0x0006, 0x0008, 0x0020, 0x0024
USE_CANDIDATE, FINGERPRINT, CONTROLLED, CONTROLLING = 0x0025, 0x8028, 0x8029, 0x802A
HEADER_BYTES = 20
INTEGRITY_BYTES = 24
FINGERPRINT_XOR = 0x5354554E
HOST_PRIORITY = 126 << 24 | 65535 << 8 | 255  # RFC 8445 §5.1.2.1


@dataclass(frozen=True, slots=True)
class Message:
    """kind: REQUEST or RESPONSE. transaction: 12 bytes. nominates: the controlling side wants this pair."""

    kind: int
    transaction: bytes
    nominates: bool


def write_check(*, username: str, password: str, tie_breaker: int, controlling: bool) -> tuple[bytes, bytes]:
    """Return a connectivity check and its transaction; one of the controlling side nominates at once.

    username: "theirs:ours". password: theirs.
    """
    transaction = secrets.token_bytes(12)
    attributes = (
        _attribute(USERNAME, username.encode())
        + _attribute(PRIORITY, struct.pack("!I", HOST_PRIORITY))
        + _attribute(CONTROLLING if controlling else CONTROLLED, struct.pack("!Q", tie_breaker))
        + (_attribute(USE_CANDIDATE, b"") if controlling else b"")
    )
    return _sealed(REQUEST, transaction, attributes, password), transaction


def write_response(request: Message, address: tuple[str, int], password: str) -> bytes:
    """Return the answer to a check. address: where it came from. password: ours."""
    host = ipaddress.ip_address(address[0])
    mask = struct.pack("!I", COOKIE) + request.transaction
    masked = bytes(a ^ b for a, b in zip(host.packed, mask, strict=False))
    family = 1 if host.version == 4 else 2
    value = struct.pack("!BBH", 0, family, address[1] ^ COOKIE >> 16) + masked
    return _sealed(RESPONSE, request.transaction, _attribute(XOR_ADDRESS, value), password)


def read_message(data: bytes, password: str) -> Message | None:
    """Return a request or response whose integrity holds, None for anything else."""
    if len(data) < HEADER_BYTES:
        return None
    kind, length, cookie, transaction = struct.unpack_from("!HHI12s", data)
    if kind not in (REQUEST, RESPONSE) or cookie != COOKIE or length != len(data) - HEADER_BYTES:
        return None
    at = _find(data, INTEGRITY)
    if at is None or at + INTEGRITY_BYTES > len(data):
        return None
    expected = _integrity(kind, transaction, data[HEADER_BYTES:at], password)
    if not hmac.compare_digest(expected, data[at + 4 : at + INTEGRITY_BYTES]):
        return None
    return Message(kind, transaction, nominates=_find(data[:at], USE_CANDIDATE) is not None)


def _find(data: bytes, wanted: int) -> int | None:
    at = HEADER_BYTES
    while at + 4 <= len(data):
        name, length = struct.unpack_from("!HH", data, at)
        if name == wanted:
            return at
        at += 4 + (length + 3 & ~3)
    return None


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _integrity(kind: int, transaction: bytes, attributes: bytes, password: str) -> bytes:
    head = struct.pack("!HHI12s", kind, len(attributes) + INTEGRITY_BYTES, COOKIE, transaction)
    return hmac.new(password.encode(), head + attributes, hashlib.sha1).digest()


def _sealed(kind: int, transaction: bytes, attributes: bytes, password: str) -> bytes:
    attributes += _attribute(INTEGRITY, _integrity(kind, transaction, attributes, password))
    message = struct.pack("!HHI12s", kind, len(attributes) + 8, COOKIE, transaction) + attributes
    return message + _attribute(FINGERPRINT, struct.pack("!I", binascii.crc32(message) ^ FINGERPRINT_XOR))
