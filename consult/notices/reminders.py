"""When a reminder is due, and when a message is not needed any more. Pure.

Reminders are told apart by what they are due for, not by when they are sent: after hours without a worker those that
still make sense go out, once each. All is counted in elapsed hours, so that no change of the clock shifts anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from consult.notices.model import Audience, Mail, MailKind, Occasion, Upcoming

LOOK_AHEAD = timedelta(days=8)

# Kind → how long before the start it is due, until when it may still go out, and how long before it is due the time
# must have been known: who booked just now needs no reminder.
DAY_BEFORE, HOUR_BEFORE = timedelta(hours=24), timedelta(hours=1)
_REMINDERS = {
    MailKind.REMINDER_DAY: (DAY_BEFORE, timedelta(hours=3), timedelta(hours=2)),
    MailKind.REMINDER_HOUR: (HOUR_BEFORE, timedelta(minutes=10), timedelta(minutes=30)),
}
# Records that are missing are asked for twice, and not within a day of the invitation, which asks for them too.
_ASK_FOR_RECORDS = (timedelta(days=7), timedelta(days=3))
_ASK_WITHIN = timedelta(days=2)  # so that what was late does not come just before the next
_LATEST_FOR_RECORDS = timedelta(days=1)
_AFTER_INVITATION = timedelta(days=1)

OVER, MOVED, TOLD, TOO_LATE, RECORDS_THERE = "appointment_over", "moved", "told_already", "too_late", "records_there"
WITHDRAWN, UNTOLD = "withdrawn", "never_told"  # guests alone
OFFER_OVER = "offer_over"


def due(upcoming: Upcoming, now: datetime) -> list[tuple[MailKind, datetime]]:
    """Return what is due for an appointment now, each with what it is due for, leaving out what was queued already."""
    found: list[tuple[MailKind, datetime]] = []
    starts_at = upcoming.starts_at
    for kind, (before, latest, known_before) in _REMINDERS.items():
        due_at = starts_at - before
        if due_at <= now < starts_at - latest and upcoming.known_since <= due_at - known_before:
            found.append((kind, starts_at))
    if upcoming.wants_records:
        for ask_at in (starts_at - before for before in _ASK_FOR_RECORDS):
            if ask_at <= now < ask_at + _ASK_WITHIN and upcoming.known_since <= ask_at - _AFTER_INVITATION:
                found.append((MailKind.RECORDS_MISSING, ask_at))
    return [one for one in found if one not in upcoming.told]


def is_for_guest(kind: MailKind, starts_at: datetime, invited_at: datetime) -> bool:
    """Whether a guest gets this reminder too. Records are asked of the patient alone."""
    if kind not in _REMINDERS:
        return False
    before, _latest, known_before = _REMINDERS[kind]
    return invited_at <= starts_at - before - known_before


def why_not(mail: Mail, occasion: Occasion, told_sequence: int | None, now: datetime) -> str | None:
    """Return why a message about an appointment is not needed any more when its turn comes, None if it is.

    told_sequence: of the newest calendar entry that its recipient got.
    """
    if mail.kind is MailKind.CANCELLATION:
        if mail.audience is Audience.GUEST and mail.again_of is None and told_sequence is None:
            return UNTOLD
        return TOO_LATE if now >= occasion.ends_at else None
    if occasion.is_cancelled:
        return OVER
    if mail.audience is Audience.EXPERT and mail.person not in {one.person for one in occasion.experts}:
        return MOVED
    if mail.audience is Audience.GUEST and mail.person not in {one.person for one in occasion.guests}:
        return WITHDRAWN
    if mail.kind.is_reminder:
        return _why_no_reminder(mail, occasion, now)
    if now >= occasion.ends_at:
        return TOO_LATE
    is_told = told_sequence is not None and told_sequence >= occasion.sequence
    return TOLD if mail.kind is MailKind.CHANGE and mail.again_of is None and is_told else None


def _why_no_reminder(mail: Mail, occasion: Occasion, now: datetime) -> str | None:
    if mail.kind is MailKind.RECORDS_MISSING:
        if occasion.record_count:
            return RECORDS_THERE
        return TOO_LATE if now >= occasion.starts_at - _LATEST_FOR_RECORDS else None
    if mail.about_at != occasion.starts_at:
        return MOVED
    return TOO_LATE if now >= occasion.starts_at - _REMINDERS[mail.kind][1] else None
