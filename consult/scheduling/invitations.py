"""Links: issuing, opening, revoking, and the visits that come of them (SECURITY 1 to 5).

A link's secret and short code leave this module once, in an IssuedLink; the database holds their hashes. Whatever is
wrong with a link, the answer is the same LinkNotUsable. How often somebody may try is limited by the views.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from consult.cases import service as cases
from consult.domain.errors import InvalidInput, LinkNotUsable, NotFound
from consult.domain.ids import AppointmentId, InvitationId
from consult.domain.words import N_
from consult.scheduling import invitation_queries as queries
from consult.scheduling.links import (
    CODE_BYTES,
    MAX_CODE_TRIES,
    SECRET_BYTES,
    FreshLink,
    encode_code,
    encode_secret,
    hash_code,
    hash_secret,
    read_code,
    read_number,
    read_secret,
)
from consult.scheduling.model import JOIN_AFTER, Invited, IssuedLink, OpenedInvitation, Visit

GUEST_ROLES = ("interpreter", "caregiver", "physician")
MAX_GUESTS = 4
MAX_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody besides the patient. role: physician, interpreter, caregiver. person_id: kept for a further link."""

    name: str
    role: str
    person_id: uuid.UUID


async def issue_link(
    conn: asyncpg.Connection, appointment_id: AppointmentId, *, now: datetime, guest: Guest | None = None
) -> IssuedLink:
    """Return a new link for the appointment's patient, or for a guest. Earlier links stay good.

    Raises NotFound if the appointment is unknown or cancelled.
    """
    invitee = await queries.fetch_invitee(conn, appointment_id)
    if invitee is None or invitee["cancelled_at"] is not None:
        raise NotFound
    link = make_link(appointment_id)
    await queries.insert_invitation(
        conn,
        link,
        person_id=guest.person_id if guest else invitee["patient_id"],
        role=guest.role if guest else "patient",
        name=guest.name if guest else invitee["name"],
        now=now,
    )
    return link.issued(invitee["number"])


def make_link(appointment_id: AppointmentId) -> FreshLink:
    """Return a new secret and code, not written down yet."""
    random = secrets.token_bytes(SECRET_BYTES + CODE_BYTES)
    secret, code = encode_secret(random[:SECRET_BYTES]), encode_code(random[SECRET_BYTES:])
    return FreshLink(InvitationId(uuid.uuid4()), appointment_id, secret, code)


async def invite_guest(
    conn: asyncpg.Connection,
    appointment_id: AppointmentId,
    *,
    name: str,
    role: str,
    email: str = "",
    by_patient: bool = False,
    now: datetime,
) -> IssuedLink:
    """Return the first link of somebody besides the patient. Raises InvalidInput or NotFound.

    email: where they get mails about the appointment, if anywhere; who calls has the first one sent. by_patient: the
    patient brings them, and may take the link back. To be called within a transaction, so that of several who are
    invited at once none is one too many.
    """
    email = email.strip()
    wrong: dict[str, str] = {}
    if not name.strip():
        wrong["guest_name"] = N_("Please write the name of the person you invite.")
    elif len(name) > MAX_NAME_CHARS:
        wrong["guest_name"] = N_("Please write a shorter name.")
    if role not in GUEST_ROLES:
        wrong["guest_role"] = N_("Please choose as what this person comes.")
    if email and not cases.looks_like_email(email):
        wrong["guest_email"] = cases.EMAIL_WRONG
    if not wrong:
        await queries.lock_appointment(conn, appointment_id)
    if not wrong and sum(one.is_guest for one in await list_invited(conn, appointment_id)) >= MAX_GUESTS:
        wrong["guest_name"] = N_("Four more people are invited already. Withdraw the link of one first.")
    if wrong:
        raise InvalidInput(wrong)
    guest = Guest(name.strip(), role, uuid.uuid4())
    link = await issue_link(conn, appointment_id, now=now, guest=guest)
    if email:
        await queries.save_guest_address(conn, appointment_id, guest.person_id, email)
    if by_patient:
        await queries.insert_companion(conn, appointment_id, guest.person_id)
    return link


async def correct_guest_email(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, email: str
) -> str:
    """Give a guest another address, and return it as it is kept. Raises InvalidInput (field `email`)."""
    email = email.strip()
    if not cases.looks_like_email(email):
        raise InvalidInput({"email": cases.EMAIL_WRONG})
    await queries.save_guest_address(conn, appointment_id, person_id, email)
    return email


async def choose_guest_language(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, language: str
) -> None:
    """Have a guest's mails written in this language; a guest without an address gets none."""
    await queries.set_guest_language(conn, appointment_id, person_id, language)


async def withdraw_guest(
    conn: asyncpg.Connection, appointment_id: AppointmentId, person_id: uuid.UUID, *, now: datetime
) -> list[str]:
    """End a guest's links as `revoke_links` does, and forget their address."""
    lost = await revoke_links(conn, appointment_id, now=now, person_id=person_id)
    await queries.delete_guest_address(conn, appointment_id, person_id)
    return lost


async def list_invited(conn: asyncpg.Connection, appointment_id: AppointmentId) -> list[Invited]:
    """Return who has good links to an appointment, the patient too, in the order in which they got the first one."""
    return await queries.list_invited(conn, appointment_id)


async def forget_link(conn: asyncpg.Connection, invitation_id: InvitationId) -> None:
    """Forget a link whose mail did not go out. If somebody came by it all the same, it stays."""
    await queries.delete_unopened(conn, invitation_id)


async def revoke_links(
    conn: asyncpg.Connection, appointment_id: AppointmentId, *, now: datetime, person_id: uuid.UUID | None = None
) -> list[str]:
    """End every link of an appointment, or those of one person, and with them their visits, at once.

    Returns the person_ids that lost a link: who is in the room with one has to be removed by RemovePerson.
    """
    return sorted(str(person) for person in await queries.revoke_invitations(conn, appointment_id, person_id, now))


async def open_invitation(
    conn: asyncpg.Connection,
    *,
    now: datetime,
    secret: str | None = None,
    number: str | None = None,
    code: str | None = None,
    earlier_token: str | None = None,
) -> OpenedInvitation:
    """Return a visit for a link's secret, or for an appointment's number with the short code.

    earlier_token: the visit cookie that the device came with. If it is the same person's, the visit goes on (and with
    it the seat) under a new token; else the device gets a visit of its own.
    Raises LinkNotUsable. Opens its own transactions, so that a wrong code is counted though an error follows: not to be
    called within one.
    """
    assert not conn.is_in_transaction()
    if secret:
        found = await _find_by_secret(conn, secret, now)
    else:
        found = await _find_by_code(conn, number or "", code or "", now)
    if found is None:
        raise LinkNotUsable
    invitation_id, appointment_id, person_id = found
    token = encode_secret(secrets.token_bytes(SECRET_BYTES))
    async with conn.transaction():
        if earlier_token:
            visit_id = await queries.continue_visit(
                conn, hash_secret(earlier_token), invitation_id, hash_secret(token), appointment_id, person_id
            )
            if visit_id is not None:
                return OpenedInvitation(visit_id, token, appointment_id, same_device=True)
            await queries.end_visit(conn, hash_secret(earlier_token), now)
        visit_id = await queries.insert_visit(conn, invitation_id, hash_secret(token), now)
    return OpenedInvitation(visit_id, token, appointment_id, same_device=False)


async def find_visit(conn: asyncpg.Connection, token: str, now: datetime) -> Visit | None:
    """Return the visit behind a cookie, or None if there is none, it ended, or its link is no longer good."""
    return await queries.find_visit(conn, hash_secret(token), now, JOIN_AFTER)


async def end_visit(conn: asyncpg.Connection, token: str, now: datetime) -> None:
    await queries.end_visit(conn, hash_secret(token), now)


_Found = tuple[InvitationId, AppointmentId, uuid.UUID]


async def _find_by_secret(conn: asyncpg.Connection, typed: str, now: datetime) -> _Found | None:
    secret = read_secret(typed)
    if secret is None:
        return None
    row = await queries.find_by_secret(conn, hash_secret(secret), now - JOIN_AFTER)
    return None if row is None else (InvitationId(row["id"]), AppointmentId(row["appointment_id"]), row["person_id"])


async def _find_by_code(conn: asyncpg.Connection, typed_number: str, typed_code: str, now: datetime) -> _Found | None:
    number, code = read_number(typed_number), read_code(typed_code)
    if number is None or code is None:
        return None  # what cannot be a code at all is a slip of the finger and costs no try
    async with conn.transaction():
        appointment_id = await queries.fetch_appointment_by_number(conn, number, now - JOIN_AFTER)
        if appointment_id is None:
            return None
        wanted = hash_code(appointment_id, code)
        alive = [row for row in await queries.lock_codes(conn, appointment_id) if row["code_tries"] < MAX_CODE_TRIES]
        for row in alive:
            if hmac.compare_digest(row["code_hash"], wanted):
                return InvitationId(row["id"]), appointment_id, row["person_id"]
        await queries.count_code_try(conn, [row["id"] for row in alive])
    return None
