"""What our mails say. No diagnosis, no specialty, nobody's name: a mail is a postcard (SECURITY 20)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from urllib.parse import urlsplit

from consult.domain.words import N_
from consult.notices.calendar import Entry, Method, write_calendar
from consult.notices.model import Audience, MailId, MailKind, Occasion, OfferToTell, PersonToTell
from consult.scheduling.model import GUEST_COMES_AS, IssuedLink
from consult.settings import Settings
from consult.web.render import clock_time, long_date, zone_then
from consult.web.words import Words

SUBJECTS = {
    MailKind.INVITATION: N_("Your video appointment on {date}"),
    MailKind.NEW_LINK: N_("Your new link for the video appointment on {date}"),
    MailKind.CHANGE: N_("Your video appointment has moved to {date}"),
    MailKind.CANCELLATION: N_("Your video appointment on {date} was cancelled"),
    MailKind.REMINDER_DAY: N_("Reminder: your video appointment on {date}"),
    MailKind.REMINDER_HOUR: N_("Your video appointment begins at {time}"),
    MailKind.RECORDS_MISSING: N_("Please send your records before {date}"),
    MailKind.OFFER: N_("A time has become free: {date}"),
}
OPENINGS = {
    MailKind.INVITATION: N_("{clinic} has booked a video appointment for you: {date} at {time}, {zone}."),
    MailKind.NEW_LINK: N_("Here is a new link for your video appointment: {date} at {time}, {zone}."),
    MailKind.CHANGE: N_("Your video appointment has a new time: {date} at {time}, {zone}."),
    MailKind.CANCELLATION: N_("Your video appointment on {date} at {time}, {zone}, does not take place."),
    MailKind.REMINDER_DAY: N_("{clinic} expects you at your video appointment: {date} at {time}, {zone}."),
    MailKind.REMINDER_HOUR: N_("Your video appointment begins in about an hour: {date} at {time}, {zone}."),
    MailKind.RECORDS_MISSING: N_("Nothing has arrived yet for your video appointment: {date} at {time}, {zone}."),
    MailKind.OFFER: N_("{clinic} can offer you a time that has become free: {date} at {time}, {zone}."),
}
SUBJECTS_FOR_EXPERTS = {
    MailKind.INVITATION: N_("Consultation {number} on {date}"),
    MailKind.CHANGE: N_("Consultation {number} has moved to {date}"),
    MailKind.CANCELLATION: N_("Consultation {number} on {date} was cancelled"),
}
OPENINGS_FOR_EXPERTS = {
    MailKind.INVITATION: N_("You are booked for consultation {number}: {date} at {time}, {zone}."),
    MailKind.CHANGE: N_("Consultation {number} has a new time: {date} at {time}, {zone}."),
    MailKind.CANCELLATION: N_("Consultation {number} on {date} at {time}, {zone}, is no longer yours."),
}

SUBJECTS_FOR_GUESTS = {
    MailKind.INVITATION: N_("You are invited to a video appointment on {date}"),
    MailKind.NEW_LINK: N_("Your new link for the video appointment on {date}"),
    MailKind.CHANGE: N_("The video appointment you come to has moved to {date}"),
    MailKind.CANCELLATION: N_("You are no longer expected at the video appointment on {date}"),
    MailKind.REMINDER_DAY: N_("Reminder: the video appointment you come to on {date}"),
    MailKind.REMINDER_HOUR: N_("The video appointment you come to begins at {time}"),
}
OPENINGS_FOR_GUESTS = {
    MailKind.INVITATION: N_("{clinic} invites you to a video appointment: {date} at {time}, {zone}."),
    MailKind.NEW_LINK: N_("Here is a new link for the video appointment you come to: {date} at {time}, {zone}."),
    MailKind.CHANGE: N_("The video appointment you come to has a new time: {date} at {time}, {zone}."),
    MailKind.CANCELLATION: N_("You are no longer expected at the video appointment on {date} at {time}, {zone}."),
    MailKind.REMINDER_DAY: N_("{clinic} expects you at the video appointment you come to: {date} at {time}, {zone}."),
    MailKind.REMINDER_HOUR: N_("The video appointment you come to begins in about an hour: {date} at {time}, {zone}."),
}
NOT_TAKING_PLACE = N_("The video appointment you were invited to on {date} at {time}, {zone}, does not take place.")

OPEN_LINK = N_("Open this link on a phone or computer with a camera. You need no account.")
PREPARE = N_("You can open it today to send your records, write down your questions and test your camera.")
TRY_IT = N_("You can open it today to test your camera and sound.")
TYPE_CODE = N_("If the link does not open, go to {address} and type the number {number} and the code {code}.")
KEEP_PRIVATE = N_("The link is for you alone. Please do not pass it on.")
LINKS_CLOSED = N_("The links that we sent you for it no longer open. {clinic} will write to you about another time.")
NO_LINK_OPENS = N_("The links that we sent you for it no longer open.")
OLD_LINKS_CLOSED = N_("The links that we sent you before no longer open. This one does.")
WHY_RECORDS = N_("The expert reads your records before the call. Please send what you have as PDF files or pictures.")
RECORDS_ELSEWHERE = N_("If somebody else sends them for you, you need not do anything.")
OFFER_UNTIL = N_("It is kept for you until {until}. Open this link to take it or to let it go.")
BEHIND_SIGN_IN = N_("Whom it is for and what there is to read, you find after signing in:")
ENTRY_FOLLOWS = N_("The calendar entry in this mail replaces any earlier one.")
NO_REPLY = N_("Nobody reads answers to this mail. Please call or write to the clinic instead.")


@dataclass(frozen=True, slots=True)
class Head:
    """What every mail of ours carries."""

    mail_id: MailId
    kind: MailKind
    words: Words
    settings: Settings
    recipient: str
    now: datetime


def write_letter(head: Head, occasion: Occasion, person: PersonToTell, link: IssuedLink | None) -> EmailMessage:
    """Return the mail in its reader's language, as text and as plain HTML. link: None if there is none in it."""
    words, settings = head.words, head.settings
    known = _when(occasion.starts_at, person.time_zone, words) | {
        "clinic": settings.clinic_name, "number": occasion.number,
    }  # fmt: skip
    if person.audience is Audience.EXPERT:
        subject, opening = SUBJECTS_FOR_EXPERTS[head.kind], OPENINGS_FOR_EXPERTS[head.kind]
        body = [words.say(BEHIND_SIGN_IN), f"{settings.public_url}/", words.say(ENTRY_FOLLOWS)]
        if head.kind is MailKind.CANCELLATION:
            body = []
    elif person.audience is Audience.GUEST:
        subject, opening = SUBJECTS_FOR_GUESTS[head.kind], OPENINGS_FOR_GUESTS[head.kind]
        if occasion.is_cancelled:
            opening = NOT_TAKING_PLACE
        body = _for_guest(head, person, link)
    else:
        subject, opening = SUBJECTS[head.kind], OPENINGS[head.kind]
        body = _for_patient(head, link, known)
    paragraphs = [words.say(opening, **known), *body, words.say(NO_REPLY)]
    return _mail(head, words.say(subject, **known), paragraphs)


def write_offer(head: Head, offer: OfferToTell) -> EmailMessage:
    """Return the mail that offers a freed time, with the link to take it."""
    words, known = head.words, _when(offer.starts_at, offer.time_zone, head.words)
    until = _when(offer.expires_at, offer.time_zone, words)
    kept = N_("{date}, {time}")
    paragraphs = [
        words.say(OPENINGS[MailKind.OFFER], clinic=head.settings.clinic_name, **known),
        words.say(OFFER_UNTIL, until=words.say(kept, date=until["date"], time=until["time"])),
        f"{head.settings.public_url}{offer.path}",
        words.say(KEEP_PRIVATE),
        words.say(NO_REPLY),
    ]
    return _mail(head, words.say(SUBJECTS[MailKind.OFFER], **known), paragraphs)


def add_entry(message: EmailMessage, entry: Entry, language: str) -> None:
    """Put a calendar entry into a mail: as what the mail is, for programs that understand it, and as a file."""
    method = Method.CANCEL if entry.is_cancelled else Method.REQUEST
    data = write_calendar([entry], method=method, language=language)
    message.add_alternative(
        data.decode(), subtype="calendar", cte="base64", params={"method": method.value, "name": "invite.ics"}
    )
    message.add_attachment(data, maintype="application", subtype="ics", filename="invite.ics")


def _for_patient(head: Head, link: IssuedLink | None, known: dict[str, object]) -> list[str]:
    words, settings = head.words, head.settings
    if link is None:
        return [words.say(LINKS_CLOSED, **known)]
    before = {
        MailKind.CHANGE: [OLD_LINKS_CLOSED],
        MailKind.RECORDS_MISSING: [WHY_RECORDS, RECORDS_ELSEWHERE],
    }
    return [
        *(words.say(sentence) for sentence in before.get(head.kind, [])),
        words.say(OPEN_LINK),
        link.url(settings.public_url),
        *([] if head.kind is MailKind.REMINDER_HOUR else [words.say(PREPARE)]),
        words.say(TYPE_CODE, address=f"{settings.public_url}/join", number=link.number, code=link.code_to_read),
        words.say(KEEP_PRIVATE),
    ]


def _for_guest(head: Head, person: PersonToTell, link: IssuedLink | None) -> list[str]:
    words, settings = head.words, head.settings
    if link is None:
        return [words.say(NO_LINK_OPENS)]
    return [
        words.say(GUEST_COMES_AS[person.role]),
        *([words.say(OLD_LINKS_CLOSED)] if head.kind is MailKind.CHANGE else []),
        words.say(OPEN_LINK),
        link.url(settings.public_url),
        *([] if head.kind is MailKind.REMINDER_HOUR else [words.say(TRY_IT)]),
        words.say(TYPE_CODE, address=f"{settings.public_url}/join", number=link.number, code=link.code_to_read),
        words.say(KEEP_PRIVATE),
    ]


def _when(instant: datetime, zone: str, words: Words) -> dict[str, object]:
    return {
        "date": long_date(instant, zone, locale=words.language),
        "time": clock_time(instant, zone, locale=words.language),
        "zone": zone_then(instant, zone, words=words),
    }


def _mail(head: Head, subject: str, paragraphs: list[str]) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = head.settings.mail_from
    message["To"] = head.recipient
    message["Date"] = format_datetime(head.now)
    message["Message-ID"] = f"<{head.mail_id}@{urlsplit(head.settings.public_url).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(paragraphs) + "\n", cte="quoted-printable")
    message["Content-Language"] = head.words.language  # set_content drops one that was there before
    message.add_alternative(_html(paragraphs, head.words.language), subtype="html", cte="quoted-printable")
    return message


def _html(paragraphs: list[str], language: str) -> str:
    lines = "\n".join(f"<p>{_with_link(paragraph)}</p>" for paragraph in paragraphs)
    return f'<!doctype html>\n<html lang="{language}">\n<meta charset="utf-8">\n{lines}\n</html>\n'


def _with_link(paragraph: str) -> str:
    text = escape(paragraph)
    return f'<a href="{text}">{text}</a>' if paragraph.startswith(("https://", "http://")) else text
