"""Reports of mail servers: which mail of ours failed for good, and what is none of it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from consult.notices.bounces import Bounce, bounce_address, read_report
from consult.notices.model import MailId

REPORTS = Path(__file__).parent / "reports"
OURS = MailId(uuid.UUID("5f0c6d3e-0a4b-4a37-9a55-0d5a3c8f1b22"))

REPORT = """\
From: MAILER-DAEMON@mx.example.org
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; ana@example.org
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--b
Content-Type: {gives_back}

Message-ID: {message_id}
Subject: Your video appointment
From: Consult <consult@clinic.example>

The text of the mail.
--b--
"""


def report(
    *,
    to: str = "consult@clinic.example",
    action: str = "failed",
    status: str = "5.1.1",
    gives_back: str = "message/rfc822",
    message_id: str = f"<{OURS}@clinic.example>",
) -> bytes:
    return REPORT.format(to=to, action=action, status=status, gives_back=gives_back, message_id=message_id).encode()


@pytest.mark.parametrize("name", ["postfix_whole", "postfix_headers"])
def test_what_postfix_itself_reports_is_read(name: str) -> None:
    """As Postfix 3.7 piped them: to the address of that mail alone, and to the sender with the headers alone."""
    assert read_report((REPORTS / f"{name}.eml").read_bytes()) == Bounce(OURS, "5.1.1")


@pytest.mark.parametrize("gives_back", ["message/rfc822", "text/rfc822-headers"])
def test_a_report_names_the_mail_by_the_headers_that_it_gives_back(gives_back: str) -> None:
    found = read_report(report(gives_back=gives_back))
    assert found is not None
    assert (found.mail_id, found.status) == (OURS, "5.1.1")


def test_a_report_names_the_mail_by_the_address_that_it_came_to() -> None:
    to = bounce_address("bounces@clinic.example", OURS)
    found = read_report(report(to=f"Bounces <{to}>", message_id="<something@else>"))
    assert found is not None
    assert found.mail_id == OURS


def test_a_mail_that_was_given_up_after_days_counts_as_failed() -> None:
    found = read_report(report(status="4.4.7"))
    assert found is not None
    assert found.status == "4.4.7"


@pytest.mark.parametrize(
    "data",
    [
        report(action="delayed", status="4.4.1"),
        report(action="delivered", status="2.0.0"),
        report(action="relayed", status="2.0.0"),
        report(message_id="<not-ours@example.org>"),
        report(message_id=""),
        b"Subject: Out of office\r\nTo: bounces+" + OURS.hex.encode() + b"@clinic.example\r\n\r\nBack on Monday",
        b"",
        b"\x00\xff\xfe" * 1000,
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n",
        b"Content-Type: message/delivery-status\n\nAction: failed\n\nAction: failed",
        report()[:400],
    ],
)
def test_what_is_no_report_of_a_mail_of_ours_changes_nothing(data: bytes) -> None:
    assert read_report(data) is None


def _within_each_other(count: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(count))


@pytest.mark.parametrize(
    "data",
    [
        _within_each_other(5000),
        b"Content-Type: message/rfc822\n\n" * 30_000,
        b"To: " + b"(" * 500_000 + b"\n\nx",
        b"To: " + b"<" * 500_000 + b"\n\nx",
        b"To: \xff\xfe@a\nContent-Type: \xff/\xff\n\n",
        b"Content-Type: text/rfc822-headers; charset=nothing\n\nmessage-id:" + b"\n" * 900_000,
        b"Content-Type: message/delivery-status\n\n" + b"Action: failed\nStatus: 5.1.1\n\n" * 30_000,
    ],
    ids=["nested parts", "nested mails", "comments", "brackets", "no text", "line ends", "recipients"],
)
def test_a_report_that_is_an_attack_is_about_no_mail(data: bytes) -> None:
    assert read_report(data) is None
