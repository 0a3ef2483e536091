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
_LINK = re.compile(r"^https?://\S+/join#\S+$", re.MULTILINE)


class MailNotSent(Exception):
    """The mail server did not take the mail. Its text is the kind of the cause alone."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of the outbox, to be shown. link: the one in it, None if it has none."""

    subject: str
    sender: str
    recipient: str
    text: str
    link: str | None


async def send(message: EmailMessage, *, file_name: str, settings: Settings) -> None:
    """Hand a mail over. Raises MailNotSent or OSError."""
    if settings.mail_url is None:
        await asyncio.to_thread(write_to_outbox, message, settings.outbox, file_name)
    else:
        await _send_by_smtp(message, settings.mail_url)


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


async def _send_by_smtp(message: EmailMessage, mail_url: str) -> None:
    parts = urlsplit(mail_url)
    secure = parts.scheme == "smtps"
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await aiosmtplib.send(
                message,
                hostname=parts.hostname or "localhost",
                port=parts.port or (465 if secure else 587),
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=secure,
                timeout=SEND_WITHIN_S,
            )
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailNotSent(type(error).__name__) from None
