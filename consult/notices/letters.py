"""What our mails say. No diagnosis, no specialty, nobody's name: a mail is a postcard (SECURITY 20)."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from urllib.parse import urlsplit

from consult.domain.words import N_
from consult.notices.model import MailId, MailKind
from consult.scheduling.model import AppointmentDetails, IssuedLink
from consult.settings import Settings
from consult.web.render import clock_time, long_date, zone_name
from consult.web.words import Words

SUBJECTS = {
    MailKind.INVITATION: N_("Your video appointment on {date}"),
    MailKind.NEW_LINK: N_("Your new link for the video appointment on {date}"),
    MailKind.CANCELLATION: N_("Your video appointment on {date} was cancelled"),
}

OPENINGS = {
    MailKind.INVITATION: N_("{clinic} has booked a video appointment for you: {date} at {time}, {zone}."),
    MailKind.NEW_LINK: N_("Here is a new link for your video appointment: {date} at {time}, {zone}."),
    MailKind.CANCELLATION: N_("Your video appointment on {date} at {time}, {zone}, does not take place."),
}

OPEN_LINK = N_("Open this link on a phone or computer with a camera. You need no account.")
PREPARE = N_("You can open it today to send your records, write down your questions and test your camera.")
TYPE_CODE = N_("If the link does not open, go to {address} and type the number {number} and the code {code}.")
KEEP_PRIVATE = N_("The link is for you alone. Please do not pass it on.")
LINKS_CLOSED = N_("The links that we sent you for it no longer open. {clinic} will write to you about another time.")
NO_REPLY = N_("Nobody reads answers to this mail. Please call or write to the clinic instead.")


def write_letter(
    kind: MailKind,
    mail_id: MailId,
    details: AppointmentDetails,
    link: IssuedLink | None,
    *,
    words: Words,
    settings: Settings,
    recipient: str,
    now: datetime,
) -> EmailMessage:
    """Return the mail in the patient's language, as text and as plain HTML. link: None for a cancellation."""
    starts_at = details.appointment.starts_at
    zone = details.patient_time_zone or details.expert_time_zone
    known = {
        "clinic": settings.clinic_name,
        "date": long_date(starts_at, zone, locale=words.language),
        "time": clock_time(starts_at, zone, locale=words.language),
        "zone": zone_name(starts_at, zone, locale=words.language),
    }
    paragraphs = [words.say(OPENINGS[kind], **known)]
    if link is None:
        paragraphs.append(words.say(LINKS_CLOSED, **known))
    else:
        address = f"{settings.public_url}/join"
        paragraphs += [
            words.say(OPEN_LINK),
            link.url(settings.public_url),
            words.say(PREPARE),
            words.say(TYPE_CODE, address=address, number=link.number, code=link.code_to_read),
            words.say(KEEP_PRIVATE),
        ]
    paragraphs.append(words.say(NO_REPLY))
    message = EmailMessage()
    message["Subject"] = words.say(SUBJECTS[kind], **known)
    message["From"] = settings.mail_from
    message["To"] = recipient
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail_id}@{urlsplit(settings.public_url).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = words.language
    message.set_content("\n\n".join(paragraphs) + "\n", cte="quoted-printable")
    message.add_alternative(_html(paragraphs, words.language), subtype="html", cte="quoted-printable")
    return message


def _html(paragraphs: list[str], language: str) -> str:
    lines = "\n".join(f"<p>{_with_link(paragraph)}</p>" for paragraph in paragraphs)
    return f'<!doctype html>\n<html lang="{language}">\n<meta charset="utf-8">\n{lines}\n</html>\n'


def _with_link(paragraph: str) -> str:
    text = escape(paragraph)
    return f'<a href="{text}">{text}</a>' if paragraph.startswith(("https://", "http://")) else text
