"""What becomes of an offer: its links, what a person says to it, and its end when they say nothing.

A link's secret is made when its mail is written and leaves this module once; the database holds its SHA-256
(SECURITY 1). Whatever is wrong with a link, the answer is the same OfferNotOpen (SECURITY 4). An offer ends once,
whoever comes first: who answers it and who ends it hold its row.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import asyncpg
import structlog

from consult import jobs
from consult.domain.errors import NotFound, OfferNotOpen
from consult.domain.ids import StaffId, WaitEntryId, WaitOfferId
from consult.notices.model import OfferToTell
from consult.scheduling import service as scheduling
from consult.scheduling.model import Appointment, IssuedLink
from consult.waiting import offer_queries, queries
from consult.waiting.later import END_OFFER, LOST, queue_given_back, queue_time_of
from consult.waiting.model import MAX_UNANSWERED, Ended, OfferDetails, OfferLink, Outcome

log = structlog.get_logger()

SECRET_BYTES = 32
SECRET_CHARS = 43
PRESSED_TWICE = timedelta(minutes=10)


class Answer(StrEnum):
    """TAKE: yes. DECLINE: not this one. LEAVE: no, and off the list."""

    TAKE = "take"
    DECLINE = "decline"
    LEAVE = "leave"


_OUTCOMES = {Answer.TAKE: Outcome.TAKEN, Answer.DECLINE: Outcome.DECLINED, Answer.LEAVE: Outcome.LEFT}


@dataclass(frozen=True, slots=True)
class Answered:
    """details: the offer as it was. is_lost: the time was gone after all, and nothing was changed by the answer.

    appointment, link: of the time that was taken; None the second time. is_move: another time was given for it.
    people_out: as of a move, who has to be removed from the room. has_guests: guests are among them who need new links
    and get no mail.
    """

    details: OfferDetails
    is_lost: bool = False
    appointment: Appointment | None = None
    link: IssuedLink | None = None
    is_move: bool = False
    people_out: tuple[str, ...] = ()
    has_guests: bool = False


async def issue_link(conn: asyncpg.Connection, offer_id: WaitOfferId, now: datetime) -> OfferLink | None:
    """Return a link to an offer, for the mail that is being written; None if it is not open any more."""
    details = await offer_queries.fetch_offer(conn, offer_id)
    if details is None or not details.offer.is_open(now):
        return None
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    await offer_queries.insert_link(conn, offer_id, _hash(secret), now)
    return OfferLink(offer_id, secret)


async def tell_of_offer(conn: asyncpg.Connection, offer_id: uuid.UUID, now: datetime) -> OfferToTell | None:
    """Return what the letter about an offer says, with a link of its own; None if the offer is over."""
    link = await issue_link(conn, WaitOfferId(offer_id), now)
    if link is None:
        return None
    details = await fetch_offer(conn, link.offer_id)
    return OfferToTell(
        patient_id=details.offer.patient_id,
        address=details.patient_email,
        phone=details.patient_phone,
        language=details.patient_language,
        time_zone=details.patient_time_zone or details.expert_time_zone,
        starts_at=details.offer.during.starts_at,
        expires_at=details.offer.expires_at,
        path=link.url(""),
    )


async def fetch_offer(conn: asyncpg.Connection, offer_id: WaitOfferId) -> OfferDetails:
    """Raises NotFound."""
    details = await offer_queries.fetch_offer(conn, offer_id)
    if details is None:
        raise NotFound("offer")
    return details


async def find_offer(conn: asyncpg.Connection, entry_id: WaitEntryId) -> OfferDetails | None:
    """Return the offer that an entry has now."""
    return await offer_queries.find_open_of_entry(conn, entry_id)


async def list_open_offers(conn: asyncpg.Connection) -> list[OfferDetails]:
    """Return the offers that nobody has answered yet, the one that ends first first."""
    return await offer_queries.list_open(conn)


async def look_at(conn: asyncpg.Connection, secret: str, now: datetime) -> OfferDetails:
    """Return what a link offers; nothing changes. Raises OfferNotOpen, whatever is wrong with it."""
    known = read_secret(secret)
    details = None if known is None else await offer_queries.find_by_secret(conn, _hash(known))
    if details is None or not details.offer.is_open(now):
        raise OfferNotOpen
    return details


async def answer_link(conn: asyncpg.Connection, secret: str, said: Answer, now: datetime) -> Answered:
    """Do what a person said to an offer by its link. The same answer twice changes nothing, and gives the same.

    Raises OfferNotOpen, whatever is wrong with the link.
    """
    known = read_secret(secret)
    details = None if known is None else await offer_queries.lock_by_secret(conn, _hash(known))
    if details is None:
        raise OfferNotOpen
    if not details.offer.is_open(now):
        return _again(details, said, now)
    return await _answer(conn, details, said, now, by=None)


async def answer_for(
    conn: asyncpg.Connection, entry_id: WaitEntryId, said: Answer, now: datetime, *, by: StaffId
) -> Answered:
    """Do what a person said to staff, on the telephone perhaps. Raises OfferNotOpen."""
    details = await offer_queries.lock_open_of_entry(conn, entry_id)
    if details is None or not details.offer.is_open(now):
        raise OfferNotOpen
    return await _answer(conn, details, said, now, by=by)


async def withdraw(conn: asyncpg.Connection, entry_id: WaitEntryId, now: datetime) -> None:
    """End the offer that an entry has, if it has one: its time is free, and goes to the next one."""
    details = await offer_queries.lock_open_of_entry(conn, entry_id)
    if details is not None:
        await _give_back(conn, details, Outcome.WITHDRAWN, now)


async def end_offer_when_due(conn: asyncpg.Connection, offer_id: WaitOfferId, now: datetime) -> timedelta | None:
    """End an offer that nobody answered in time, and have its slot offered to the next one.

    Returns how long it still has, None if it is over.
    """
    async with conn.transaction():
        details = await offer_queries.lock_offer(conn, offer_id)
        if details is None or details.offer.ended_at is not None:
            return None
        if now < details.offer.expires_at:
            return details.offer.expires_at - now
        await _give_back(conn, details, Outcome.UNANSWERED, now)
        await queries.count_unanswered(conn, details.offer.entry_id, MAX_UNANSWERED, now)
    log.info("offer.unanswered", offer=str(offer_id))
    return None


async def queue_overdue(conn: asyncpg.Connection, now: datetime) -> int:
    """Have offers ended whose own job was given up. Returns how many."""
    overdue = await offer_queries.list_overdue(conn, now - timedelta(minutes=1))
    for offer_id in overdue:
        await jobs.enqueue(conn, END_OFFER, {"offer_id": str(offer_id)}, key=f"overdue:{offer_id}")
    return len(overdue)


def read_secret(text: str) -> str | None:
    """Return the secret of a link, or of a whole link that was pasted; None if it has not the shape of one."""
    secret = text.strip().rpartition("#")[2]
    plain = all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in secret)
    return secret if plain and len(secret) == SECRET_CHARS else None


async def _answer(
    conn: asyncpg.Connection, details: OfferDetails, said: Answer, now: datetime, *, by: StaffId | None
) -> Answered:
    if said is not Answer.TAKE:
        left = said is Answer.LEAVE
        await _give_back(conn, details, Outcome.LEFT if left else Outcome.DECLINED, now)
        await queries.update_answered(conn, details.offer.entry_id)
        if left:
            await queries.end_entry(conn, details.offer.entry_id, Ended.LEFT, now)
        return Answered(details)
    try:
        async with conn.transaction():
            return await _take(conn, details, now, by=by)
    except LOST as error:
        log.info("offer.lost", offer=str(details.offer.id), code=error.code)
        await _give_back(conn, details, Outcome.WITHDRAWN, now)
        return Answered(details, is_lost=True)


async def _take(conn: asyncpg.Connection, details: OfferDetails, now: datetime, *, by: StaffId | None) -> Answered:
    """Book or move to what is held, and let the time that is given up for it be offered on."""
    offer = details.offer
    if offer.appointment_id is None:
        appointment, link = await scheduling.book(
            conn,
            offer.case_id,
            offer.expert_id,
            offer.during.starts_at,
            offer.during.ends_at - offer.during.starts_at,
            kind=offer.kind,
            others=offer.others,
            booked_by=by or offer.added_by,
            now=now,
            hold_id=offer.hold_id,
        )
        answered = Answered(details, appointment=appointment, link=link)
    else:
        before = (await scheduling.fetch_appointment(conn, offer.appointment_id)).appointment
        moved = await scheduling.move(
            conn,
            offer.appointment_id,
            offer.during.starts_at,
            sequence=before.sequence,
            by=by or offer.added_by,  # the clinic offered it: the patient's own limits for changes do not count
            now=now,
            expert_id=None if offer.expert_id == before.expert_id else offer.expert_id,
            hold_id=offer.hold_id,
        )
        await queue_time_of(conn, before, now)
        invited = await scheduling.list_invited(conn, offer.appointment_id)
        answered = Answered(
            details,
            appointment=moved.appointment,
            link=moved.link,
            is_move=True,
            people_out=moved.people_out,
            has_guests=any(one.is_guest and not one.email for one in invited),
        )
    await offer_queries.end_offer(conn, offer.id, Outcome.TAKEN, now)
    await queries.end_entry(conn, offer.entry_id, Ended.FULFILLED, now)
    log.info("offer.taken", offer=str(offer.id), move=answered.is_move)
    return answered


def _again(details: OfferDetails, said: Answer, now: datetime) -> Answered:
    """Give a person who pressed twice what they got the first time. Raises OfferNotOpen for everything else."""
    ended_at, outcome = details.offer.ended_at, details.offer.outcome
    if ended_at is None or now > ended_at + PRESSED_TWICE or outcome is not _OUTCOMES[said]:
        raise OfferNotOpen
    return Answered(details, is_move=said is Answer.TAKE and details.offer.appointment_id is not None)


async def _give_back(conn: asyncpg.Connection, details: OfferDetails, outcome: Outcome, now: datetime) -> None:
    offer = details.offer
    await offer_queries.end_offer(conn, offer.id, outcome, now)
    await scheduling.release(conn, offer.hold_id, now)
    await queue_given_back(conn, now)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
