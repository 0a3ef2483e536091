"""How a mail leaves: by the operator's mail server, or into a folder where the demonstration shows it.

A mail holds a link's secret, so a file of the outbox is readable by this server's user alone.
"""

from __future__ import annotations

import asyncio
import email.policy
import os
import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from consult.settings import Settings

SEND_WITHIN_S = 30.0
_LINK = re.compile(r"^https?://\S+#\S+$", re.MULTILINE)
_STATUS = re.compile(r"\b(5\.\d{1,3}\.\d{1,3})\b")


class MailNotSent(Exception):
    """The mail server did not take the mail. Its text is the kind of the cause alone."""


class MailRefused(MailNotSent):
    """The mail server refused the mail for good: nothing is gained by trying again. status: such as 5.1.1 or 550."""

    def __init__(self, status: str) -> None:
        super().__init__("MailRefused")
        self.status = status


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of the outbox, to be shown. link: the one in it, None if it has none."""

    subject: str
    sender: str
    recipient: str
    text: str
    link: str | None


async def send(message: EmailMessage, *, file_name: str, settings: Settings, bounces_to: str | None = None) -> None:
    """Hand a mail over. Raises MailRefused, MailNotSent or OSError.

    bounces_to: the address that the mail server reports to if it cannot deliver; None: that of the sender.
    """
    if settings.mail_url is None:
        await asyncio.to_thread(write_to_outbox, message, settings.outbox, file_name)
    else:
        await _send_by_smtp(message, settings.mail_url, bounces_to)


def write_to_outbox(message: EmailMessage, folder: Path, file_name: str) -> None:
    """Write a mail all at once: nobody sees half of one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    unfinished = folder / f".{file_name}"
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(message.as_bytes(policy=email.policy.SMTP))
    unfinished.rename(folder / file_name)


def read_from_outbox(folder: Path, file_name: str) -> Letter | None:
    """Return a mail of the outbox, None if it is not there."""
    try:
        data = (folder / file_name).read_bytes()
    except FileNotFoundError:
        return None
    message = BytesParser(policy=email.policy.default).parsebytes(data)
    body = message.get_body(preferencelist=("plain",))
    text = str(body.get_content()).replace("\r\n", "\n").strip() if body is not None else ""
    found = _LINK.search(text)
    return Letter(
        subject=str(message["Subject"]),
        sender=str(message["From"]),
        recipient=str(message["To"]),
        text=text,
        link=found.group() if found else None,
    )


async def _send_by_smtp(message: EmailMessage, mail_url: str, bounces_to: str | None) -> None:
    parts = urlsplit(mail_url)
    secure = parts.scheme == "smtps"
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await aiosmtplib.send(
                message,
                sender=bounces_to,
                hostname=parts.hostname or "localhost",
                port=parts.port or (465 if secure else 587),
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=secure,
                timeout=SEND_WITHIN_S,
            )
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _failure(error) from None


def _failure(error: Exception) -> MailNotSent:
    """Tell refusals of this mail for good from everything that may be mended: a full disk, a wrong password."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError) and 500 <= error.code < 600:
        found = _STATUS.search(error.message)
        return MailRefused(found[1] if found else str(error.code))
    return MailNotSent(type(error).__name__)
