"""What boards show of some days. Reads only; who calls owns the transaction.

Booking and free times belong to `scheduling`; what is said about an appointment here is true at the moment of asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from consult.boards import queries
from consult.boards.model import BoardLine, KeptTime
from consult.db.pool import Connection
from consult.domain.errors import NotFound
from consult.domain.ids import AppointmentId, StaffId
from consult.domain.slots import Slot, day_bounds


def bounds_of(day_from: date, day_to: date, zone: ZoneInfo) -> Slot:
    """Return the stretch from the first instant of a day to the last of another, both days included."""
    return Slot(day_bounds(day_from, zone).starts_at, day_bounds(day_to, zone).ends_at)


async def list_lines(
    conn: Connection, day_from: date, day_to: date, zone: ZoneInfo, *, expert_id: StaffId | None = None
) -> list[BoardLine]:
    """Return the appointments from a day to another of a zone, both included, in the order of time.

    expert_id: only those that this expert leads or sits in.
    """
    return await queries.list_lines(conn, bounds_of(day_from, day_to, zone), expert_id)


async def fetch_line(conn: Connection, appointment_id: AppointmentId) -> BoardLine:
    """Return one appointment. Raises NotFound, also if it was cancelled."""
    line = await queries.fetch_line(conn, appointment_id)
    if line is None:
        raise NotFound("appointment")
    return line


async def list_kept(conn: Connection, expert_ids: Sequence[StaffId], bounds: Slot, *, now: datetime) -> list[KeptTime]:
    """Return the times that are kept for somebody who decides, in the order of time."""
    return await queries.list_kept(conn, expert_ids, bounds, now)


async def count_by_day(
    conn: Connection, day_from: date, day_to: date, zone: ZoneInfo, *, expert_id: StaffId | None = None
) -> dict[date, int]:
    """Return how many appointments begin on each day of a zone; days without any are left out."""
    return await queries.count_by_day(conn, bounds_of(day_from, day_to, zone), zone.key, expert_id)
