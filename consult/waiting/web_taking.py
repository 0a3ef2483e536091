"""What follows when an offered time was taken: the mail about it, and the way out for who sits in the old call."""

from __future__ import annotations

from datetime import datetime

import asyncpg
from aiohttp import web

from consult.keys import BUS
from consult.notices import service as notices
from consult.waiting.offers import Answered
from signaling.events import RemovePerson


async def tell_taken(conn: asyncpg.Connection, answered: Answered, now: datetime) -> None:
    """Queue the mail about the new time, in the transaction that took it."""
    assert answered.appointment is not None
    if answered.is_move:
        await notices.queue_change(conn, answered.appointment.id, now)
    else:
        await notices.queue_invitation(conn, answered.appointment.id, now)


async def send_out(request: web.Request, answered: Answered) -> None:
    """Send out who is in a room with a link that ended by the move, or whom another expert replaced."""
    if answered.appointment is None:
        return
    room_id = str(answered.appointment.id)
    for person in answered.people_out:
        await request.app[BUS].order(RemovePerson(room_id, person, "expired"))
