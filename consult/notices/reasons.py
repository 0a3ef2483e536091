"""Why a message did not arrive, in words: from what the mail server or the gateway said, and from our own reasons."""

from __future__ import annotations

from consult.domain.words import N_
from consult.notices import reminders
from consult.notices.model import Channel, Mail, MailState
from consult.notices.queueing import EVENT_PAUSES, MAIL_PAUSES
from consult.web.words import Words

DROPPED = {
    reminders.OVER: N_("The appointment had been cancelled."),
    reminders.MOVED: N_("The appointment had moved."),
    reminders.TOLD: N_("The new time had been told already."),
    reminders.TOO_LATE: N_("It would have come too late."),
    reminders.RECORDS_THERE: N_("Records had arrived."),
    reminders.WITHDRAWN: N_("This person is not invited any more."),
    reminders.UNTOLD: N_("This person had not been told of the appointment yet."),
    "offer_over": N_("The offer was over."),
}
NOT_NEEDED = N_("It was not needed any more.")

BOUNCED = N_("The address does not take mail.")
BOUNCES = {
    "5.1": N_("The address does not exist."),
    "550": N_("The address does not exist, or refuses mail."),
    "5.2": N_("The mailbox is full or closed."),
    "552": N_("The mailbox is full or closed."),
    "5.7": N_("The other side refuses mail from here."),
    "554": N_("The other side refuses mail from here."),
}
GATEWAY_REFUSES = N_("The gateway for text messages wants no more of these.")

GIVEN_UP = N_("It was tried many times and given up.")
AWAY = N_("The mail server does not answer. It is tried again.")
WRONG_PASSWORD = N_("The mail server does not take the user name or password in MAIL_URL. It is tried again.")
NOT_NOW = N_("The mail server did not take it. It is tried again.")
GATEWAY_AWAY = N_("The gateway for text messages did not take it. It is tried again.")
_AWAY = {"SMTPConnectError", "SMTPConnectTimeoutError", "SMTPTimeoutError", "SMTPServerDisconnected", "TimeoutError"}


def say_reason(mail: Mail, words: Words) -> str:
    """Return one sentence, "" if nothing went wrong."""
    if mail.state is MailState.DROPPED:
        return words.gettext(DROPPED.get(mail.failure or "", NOT_NEEDED))
    if mail.state is MailState.BOUNCED:
        if mail.channel is Channel.WEBHOOK:
            return words.gettext(GATEWAY_REFUSES)
        return words.gettext(BOUNCES.get(mail.bounce_status[:3], BOUNCED))
    if mail.state is not MailState.FAILED:
        return ""
    if mail.tries > len(EVENT_PAUSES if mail.channel is Channel.WEBHOOK else MAIL_PAUSES):
        return words.gettext(GIVEN_UP)
    if mail.channel is Channel.WEBHOOK:
        return words.gettext(GATEWAY_AWAY)
    if mail.failure == "SMTPAuthenticationError":
        return words.gettext(WRONG_PASSWORD)
    return words.gettext(AWAY if mail.failure in _AWAY else NOT_NOW)
