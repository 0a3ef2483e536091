"""Reports that a mail could not be delivered (RFC 3464), handed over by the operator's mail server.

A report is believed as far as it names one of our mails, whose ids nobody can guess. It changes what the page of
messages says, nothing else.
"""

from __future__ import annotations

import email
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

import asyncpg

from consult.notices import queries
from consult.notices.model import MailId

MAX_REPORT_BYTES = 1024 * 1024
_HEX = re.compile(r"\+([0-9a-f]{32})@")
_OUR_ID = re.compile(r"<([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})@")
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_GIVES_BACK = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers")
_WHERE_TO = ("To", "Delivered-To", "X-Original-To", "Envelope-To")


@dataclass(frozen=True, slots=True)
class Bounce:
    """status: such as 5.1.1, "" if the report has none."""

    mail_id: MailId
    status: str


def bounce_address(address: str, mail_id: MailId) -> str:
    """Return where reports about one mail go: bounces@clinic.example becomes bounces+…@clinic.example."""
    name, _at, place = address.rpartition("@")
    return f"{name}+{mail_id.hex}@{place}"


def read_report(data: bytes) -> Bounce | None:
    """Return what a report says, None if it is not one of a mail of ours that failed for good."""
    try:
        report = email.message_from_bytes(data[:MAX_REPORT_BYTES])
        statuses = _failed(report)
        mail_id = _mail_of(report)
    except RecursionError:  # hundreds of parts within each other: no mail server writes that
        return None
    if mail_id is None or not statuses:
        return None
    return Bounce(mail_id, statuses[0])


async def take_bounce(conn: asyncpg.Connection, data: bytes, now: datetime) -> bool:
    """Mark the mail that a report is about as bounced. False if the report is about none, or was known."""
    bounce = read_report(data)
    return bounce is not None and await queries.update_bounced(conn, bounce.mail_id, bounce.status, now, tries=0)


def _failed(report: Message) -> list[str]:
    """The status of each recipient that is given up; delays and successes are left out."""
    found: list[str] = []
    for part in report.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        blocks = part.get_payload()
        for block in blocks if isinstance(blocks, list) else []:
            if isinstance(block, Message) and str(block.get("Action", "")).strip().lower() == "failed":
                status = _STATUS.search(str(block.get("Status", "")))
                found.append(status.group() if status else "")
    return found


def _mail_of(report: Message) -> MailId | None:
    """By the address that the report came to, or by the headers of the mail that it gives back."""
    for header in _WHERE_TO:
        for value in report.get_all(header, []):
            if found := _HEX.search(str(value)):
                return MailId(uuid.UUID(hex=found[1]))
    for part in report.walk():
        if part.get_content_type() in _GIVES_BACK and (found := _OUR_ID.search(_message_id(part))):
            return MailId(uuid.UUID(found[1]))
    return None


def _message_id(part: Message) -> str:
    inner = part.get_payload()
    if isinstance(inner, list):
        return str(inner[0].get("Message-ID", "")) if inner and isinstance(inner[0], Message) else ""
    text = part.get_payload(decode=True)
    lines = text.decode("utf-8", "replace") if isinstance(text, bytes) else ""
    found = re.search(r"^message-id:\s*(<[^>\s]+>)", lines, re.IGNORECASE | re.MULTILINE)
    return found[1] if found else ""
