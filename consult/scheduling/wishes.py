"""What patients whose appointment was cancelled write about another time, for the scheduler to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from consult.domain.errors import InvalidInput
from consult.domain.ids import AppointmentId
from consult.domain.words import N_
from consult.scheduling import visit_queries as queries
from consult.scheduling.model import TimeWish

MAX_WISH_CHARS = 1000


async def wish_for_another_time(
    conn: asyncpg.Connection, appointment_id: AppointmentId, wish: str, now: datetime
) -> None:
    """Keep what the patient wrote about another time; written again, the new text stands. Raises InvalidInput.

    wish: "" if days and times that were chosen say it all.
    """
    text = wish.strip()
    if len(text) > MAX_WISH_CHARS:
        raise InvalidInput({"wish": N_("Please write a shorter text.")})
    await queries.save_wish(conn, appointment_id, text, now)


async def list_wishes(
    conn: asyncpg.Connection, appointment_ids: Sequence[AppointmentId]
) -> dict[AppointmentId, TimeWish]:
    """Return what patients wrote about another time, for those appointments where they did."""
    return await queries.list_wishes(conn, appointment_ids)
