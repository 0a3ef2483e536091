"""Putting messages into the queue, in the transaction of the change that they tell of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg

from consult import jobs
from consult.cases import service as cases
from consult.domain.errors import InvalidInput, NotFound
from consult.domain.ids import AppointmentId, InvitationId, PatientId, StaffId
from consult.domain.words import N_
from consult.notices import occasion_queries, queries, reminders
from consult.notices.model import (
    Audience,
    Channel,
    Mail,
    MailId,
    MailKind,
    Occasion,
    OfferId,
    OfferToTell,
    PersonToTell,
)
from consult.scheduling import service as scheduling

SEND_MAIL = "send_mail"
SEND_EVENT = "send_event"
SEND_NEW_LINKS = "send_new_links"
# A mail server that is away overnight, or greylists, still gets its mails.
MAIL_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 720))
EVENT_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 18_000, 36_000))
ADDRESS_MISSING = N_("Please enter the address that it should go to.")
NOT_AGAIN = N_("This message cannot be sent again: what it was about is over.")


async def queue_invitation(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have the patient sent an invitation with a link of its own, and the experts theirs.

    False if there is no address to send the patient's to. Raises NotFound.
    """
    occasion = await _occasion(conn, appointment_id)
    for expert in occasion.experts:
        await _queue(conn, occasion, expert, MailKind.INVITATION, now)
    return await _tell_patient(conn, occasion, MailKind.INVITATION, now)


async def queue_new_link(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have the patient sent a further link. False if there is no address to send it to."""
    occasion = await _occasion(conn, appointment_id)
    return await _queue(conn, occasion, occasion.patient, MailKind.NEW_LINK, now)


async def queue_guest(
    conn: asyncpg.Connection, appointment_id: AppointmentId, invitation_id: InvitationId, now: datetime
) -> bool:
    """Have a guest sent a link of their own: an invitation the first time, else a new link.

    invitation_id: any good link of theirs. False if there is no address of theirs, or if it is the patient's.
    """
    occasion = await _occasion(conn, appointment_id)
    invited = await scheduling.list_invited(conn, appointment_id)
    person = next((str(one.person_id) for one in invited if invitation_id in one.invitation_ids), "")
    guest = next((one for one in occasion.guests if one.person == person), None)
    if guest is None:
        return False
    told = await queries.is_told(conn, appointment_id, guest.person)
    return await _queue(conn, occasion, guest, MailKind.NEW_LINK if told else MailKind.INVITATION, now)


async def queue_guest_withdrawn(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, now: datetime
) -> bool:
    """Have a guest told that they are not expected any more. False if there is no address of theirs."""
    occasion = await _occasion(conn, appointment_id)
    guest = next((one for one in occasion.guests if one.person == str(person_id)), None)
    return guest is not None and await _queue(conn, occasion, guest, MailKind.CANCELLATION, now)


async def queue_change(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have everybody told of the appointment's new time or experts, as it stands in this transaction.

    Who became an expert of it is invited, who is none any more gets a cancellation. False if there is no address to
    send the patient's to.
    """
    occasion = await _occasion(conn, appointment_id)
    told = await queries.list_told_experts(conn, appointment_id)
    for expert in occasion.experts:
        kind = MailKind.CHANGE if expert.person in told else MailKind.INVITATION
        await _queue(conn, occasion, expert, kind, now)
    present = {expert.person for expert in occasion.experts}
    await _cancel_experts(conn, occasion, {person: told[person] for person in told if person not in present}, now)
    for guest in occasion.guests:
        await _queue(conn, occasion, guest, MailKind.CHANGE, now)
    return await _tell_patient(conn, occasion, MailKind.CHANGE, now)


async def queue_cancellation(conn: asyncpg.Connection, appointment_id: AppointmentId, now: datetime) -> bool:
    """Have everybody told that the appointment does not take place. False if there is no address for the patient."""
    occasion = await _occasion(conn, appointment_id)
    present = {expert.person: expert.address for expert in occasion.experts}
    await _cancel_experts(conn, occasion, await queries.list_told_experts(conn, appointment_id) | present, now)
    for guest in occasion.guests:
        await _queue(conn, occasion, guest, MailKind.CANCELLATION, now)
    return await _tell_patient(conn, occasion, MailKind.CANCELLATION, now)


async def queue_new_links(conn: asyncpg.Connection, appointment_ids: Iterable[AppointmentId]) -> None:
    """Have the patients of these appointments sent a further link by and by.

    For a stranger's request: whether it is for somebody or for nobody, the same is written, in the same time.
    """
    payload = {"request": str(uuid.uuid4()), "appointments": [str(one) for one in appointment_ids]}
    await jobs.enqueue(conn, SEND_NEW_LINKS, payload)


async def send_new_links(conn: asyncpg.Connection, payload: jobs.Payload, now: datetime) -> None:
    """Queue the mails that a stranger's request asked for, each once however often this is called."""
    for appointment_id in payload["appointments"]:
        mail_id = MailId(uuid.uuid5(uuid.UUID(payload["request"]), appointment_id))
        occasion = await _occasion(conn, AppointmentId(uuid.UUID(appointment_id)))
        await _queue(conn, occasion, occasion.patient, MailKind.NEW_LINK, now, mail_id=mail_id)


async def queue_offer(conn: asyncpg.Connection, offer_id: uuid.UUID, now: datetime) -> None:
    """Have somebody on the wait list offered a freed time. To whom and what, the job asks when it writes the letter."""
    mail_id = await queries.insert_mail(
        conn,
        appointment_id=None,
        offer_id=OfferId(offer_id),
        kind=MailKind.OFFER,
        audience=Audience.PATIENT,
        person="",
        recipient="",
        now=now,
    )
    assert mail_id is not None
    await jobs.enqueue(conn, SEND_MAIL, {"mail_id": str(mail_id)}, key=f"mail:{mail_id}")


async def queue_due(conn: asyncpg.Connection, now: datetime, *, channels: Iterable[Channel] = (Channel.MAIL,)) -> int:
    """Queue the reminders that are due, each once, however often and by however many this is called.

    Returns how many were queued.
    """
    wanted, queued = tuple(channels), 0
    for upcoming in await occasion_queries.list_upcoming(conn, now, now + reminders.LOOK_AHEAD):
        for kind, about_at in reminders.due(upcoming, now):
            occasion = await _occasion(conn, upcoming.appointment_id)
            async with conn.transaction():
                if Channel.MAIL in wanted:
                    for person in _whom_to_remind(occasion, kind):
                        queued += await _queue(conn, occasion, person, kind, now, about_at=about_at)
                if Channel.WEBHOOK in wanted:
                    queued += await _queue_due_event(conn, occasion, kind, about_at, now)
    return queued


def _whom_to_remind(occasion: Occasion, kind: MailKind) -> list[PersonToTell]:
    guests = [
        one
        for one in occasion.guests
        if one.known_since is not None and reminders.is_for_guest(kind, occasion.starts_at, one.known_since)
    ]
    return [occasion.patient, *guests]


async def queue_offer_event(conn: asyncpg.Connection, offer_id: OfferId, offer: OfferToTell, now: datetime) -> None:
    """Have the gateway for text messages told of an offer, beside the mail that holds its link."""
    mail_id = await queries.insert_mail(
        conn,
        appointment_id=None,
        offer_id=offer_id,
        kind=MailKind.OFFER,
        channel=Channel.WEBHOOK,
        audience=Audience.PATIENT,
        person=str(offer.patient_id),
        recipient=offer.phone,
        about_at=offer.starts_at,
        now=now,
    )
    if mail_id is not None:
        await jobs.enqueue(conn, SEND_EVENT, {"mail_id": str(mail_id)}, key=f"event:{mail_id}")


async def send_again(conn: asyncpg.Connection, mail_id: MailId, *, address: str, by: StaffId, now: datetime) -> MailId:
    """Send a message once more, to a corrected address if it is the patient's or a guest's; that is kept as theirs.

    An expert's goes to the address of their account, an event to the gateway for text messages.
    Raises InvalidInput (field `email`), NotFound.
    """
    mail = await fetch_message(conn, mail_id)
    is_event = mail.channel is Channel.WEBHOOK
    if (is_event and not mail.may_go_again) or (mail.appointment_id is None and not is_event):
        raise InvalidInput({"email": NOT_AGAIN})
    if mail.appointment_id is None:
        return await _send_again(conn, mail, await _phone_for_offer(conn, mail, now), by, now)
    occasion = await _occasion(conn, mail.appointment_id)
    person = occasion.patient
    if is_event:
        address = occasion.patient_phone
    elif mail.audience is Audience.EXPERT:
        person = next((one for one in occasion.experts if one.person == mail.person), person)
        address = person.address if person.audience is Audience.EXPERT else mail.recipient
    elif mail.audience is Audience.GUEST:
        address = await _corrected_guest(conn, occasion, mail, address)
    else:
        address = await _corrected(conn, occasion.patient_id, occasion.patient.address, address)
    if reminders.why_not(replace(mail, again_of=mail.id), occasion, None, now) is not None:
        raise InvalidInput({"email": NOT_AGAIN})
    return await _send_again(conn, mail, address, by, now)


async def _phone_for_offer(conn: asyncpg.Connection, mail: Mail, now: datetime) -> str:
    """Return the number that the event of an offer goes to now. Raises InvalidInput if the offer is over."""
    assert mail.offer_id is not None
    phone = await occasion_queries.fetch_phone_for_offer(conn, mail.offer_id, now)
    if phone is None:
        raise InvalidInput({"email": NOT_AGAIN})
    return phone


async def _send_again(conn: asyncpg.Connection, mail: Mail, address: str, by: StaffId, now: datetime) -> MailId:
    again, is_event = MailId(uuid.uuid4()), mail.channel is Channel.WEBHOOK
    async with conn.transaction():
        await queries.insert_mail(
            conn,
            mail_id=again,
            appointment_id=mail.appointment_id,
            offer_id=mail.offer_id,
            kind=mail.kind,
            channel=mail.channel,
            audience=mail.audience,
            person=mail.person,
            recipient=address,
            about_at=mail.about_at,
            again_of=mail.id,
            again_by=by,
            now=now,
        )
        job, name = (SEND_EVENT, "event") if is_event else (SEND_MAIL, "mail")
        await jobs.enqueue(conn, job, {"mail_id": str(again)}, key=f"{name}:{again}")
    return again


async def fetch_message(conn: asyncpg.Connection, mail_id: MailId) -> Mail:
    """Raises NotFound."""
    mail = await queries.fetch_mail(conn, mail_id)
    if mail is None:
        raise NotFound("mail")
    return mail


async def _occasion(conn: asyncpg.Connection, appointment_id: AppointmentId) -> Occasion:
    occasion = await occasion_queries.fetch_occasion(conn, appointment_id)
    if occasion is None:
        raise NotFound("appointment")
    return occasion


async def _tell_patient(conn: asyncpg.Connection, occasion: Occasion, kind: MailKind, now: datetime) -> bool:
    """By mail, and through the gateway for text messages if the worker knows one."""
    await _queue_event(conn, kind, occasion.appointment_id)
    return await _queue(conn, occasion, occasion.patient, kind, now)


async def _cancel_experts(conn: asyncpg.Connection, occasion: Occasion, told: dict[str, str], now: datetime) -> None:
    for person, address in told.items():
        expert = PersonToTell(Audience.EXPERT, person, address, "", "")
        await _queue(conn, occasion, expert, MailKind.CANCELLATION, now)


async def _queue(
    conn: asyncpg.Connection,
    occasion: Occasion,
    person: PersonToTell,
    kind: MailKind,
    now: datetime,
    *,
    about_at: datetime | None = None,
    mail_id: MailId | None = None,
) -> bool:
    """Queue one mail. False if there is no address, or if this mail or reminder was queued already."""
    if not person.address:
        return False
    async with conn.transaction():
        mail_id = await queries.insert_mail(
            conn,
            mail_id=mail_id,
            appointment_id=occasion.appointment_id,
            kind=kind,
            audience=person.audience,
            person=person.person,
            recipient=person.address,
            about_at=about_at,
            now=now,
        )
        if mail_id is not None:
            await jobs.enqueue(conn, SEND_MAIL, {"mail_id": str(mail_id)}, key=f"mail:{mail_id}")
    return mail_id is not None


async def _queue_event(conn: asyncpg.Connection, kind: MailKind, appointment_id: AppointmentId) -> None:
    """Have the worker tell the gateway for text messages; without one it does nothing."""
    payload = {"mail_id": str(uuid.uuid4()), "kind": kind.value, "appointment_id": str(appointment_id)}
    await jobs.enqueue(conn, SEND_EVENT, payload)


async def _queue_due_event(
    conn: asyncpg.Connection, occasion: Occasion, kind: MailKind, about_at: datetime, now: datetime
) -> bool:
    mail_id = await queries.insert_mail(
        conn,
        appointment_id=occasion.appointment_id,
        kind=kind,
        channel=Channel.WEBHOOK,
        audience=Audience.PATIENT,
        person=occasion.patient.person,
        recipient=occasion.patient_phone,
        about_at=about_at,
        now=now,
    )
    if mail_id is not None:
        await jobs.enqueue(conn, SEND_EVENT, {"mail_id": str(mail_id)}, key=f"event:{mail_id}")
    return mail_id is not None


async def _corrected_guest(conn: asyncpg.Connection, occasion: Occasion, mail: Mail, typed: str) -> str:
    """Return where a guest's message goes. Who is not invited any more has no address to correct."""
    address, guest = typed.strip(), next((one for one in occasion.guests if one.person == mail.person), None)
    if not address:
        raise InvalidInput({"email": ADDRESS_MISSING})
    if guest is None or address == guest.address:
        return mail.recipient if guest is None else address
    return await scheduling.correct_guest_email(conn, occasion.appointment_id, uuid.UUID(mail.person), address)


async def _corrected(conn: asyncpg.Connection, patient_id: PatientId, known: str, typed: str) -> str:
    address = typed.strip()
    if not address:
        raise InvalidInput({"email": ADDRESS_MISSING})
    return address if address == known else await cases.correct_email(conn, patient_id, address)
