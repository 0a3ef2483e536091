"""An appointment as an entry of somebody's calendar: what it is called there, and what it does not say."""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from consult.domain.words import N_
from consult.notices.calendar import Entry, entry_uid
from consult.notices.model import Audience, Occasion, PersonToTell
from consult.settings import Settings
from consult.web.words import Words

FOR_PATIENTS = N_("Video appointment {number}")
FOR_EXPERTS = N_("Consultation {number}")
LINK_IS_IN_MAIL = N_("Your link is in our latest mail. If you cannot find it, ask for a new one at {address}.")
ASK_WHO_INVITED = N_("Your link is in our latest mail. If you cannot find it, ask who invited you for a new one.")
SIGN_IN = N_("Sign in to open it.")


def entry_for(
    occasion: Occasion,
    person: PersonToTell,
    *,
    words: Words,
    settings: Settings,
    sequence: int,
    is_cancelled: bool,
    changed_at: datetime,
    asked_to_come: bool,
) -> Entry:
    """Return the entry for an expert, the patient or a guest. asked_to_come: it goes out in a mail, as a meeting."""
    for_expert = person.audience is Audience.EXPERT
    join = f"{settings.public_url}/join"
    texts = {
        Audience.EXPERT: words.say(SIGN_IN),
        Audience.PATIENT: words.say(LINK_IS_IN_MAIL, address=f"{join}/new-link"),
        Audience.GUEST: words.say(ASK_WHO_INVITED),
    }
    return Entry(
        uid=entry_uid(occasion.appointment_id, person.person, urlsplit(settings.public_url).hostname or "localhost"),
        sequence=sequence,
        starts_at=occasion.starts_at,
        ends_at=occasion.ends_at,
        time_zone=person.time_zone,
        changed_at=changed_at,
        is_cancelled=is_cancelled,
        title=words.say(FOR_EXPERTS if for_expert else FOR_PATIENTS, number=occasion.number),
        text=texts[person.audience],
        place=f"{settings.public_url}/" if for_expert else join,
        organizer=parseaddr(settings.mail_from)[1],
        organizer_name=settings.clinic_name,
        attendee=person.address if asked_to_come else "",
    )
