"""What the room of an appointment is told when links to it end."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from consult.domain.ids import AppointmentId
from consult.keys import BUS
from consult.scheduling.model import Moved
from signaling.events import CloseRoom, RemovePerson


async def send_out(request: web.Request, appointment_id: AppointmentId, person_ids: Iterable[str]) -> None:
    """Send out whoever is in the room by a link that ended."""
    for person in person_ids:
        await request.app[BUS].order(RemovePerson(str(appointment_id), f"person:{person}", "expired"))


async def send_out_after_move(request: web.Request, moved: Moved) -> None:
    """Send out whoever is in the room by a link that ended, and experts who were replaced: the call is not theirs."""
    for person in moved.people_out:
        await request.app[BUS].order(RemovePerson(str(moved.appointment.id), person, "expired"))


async def close_room(request: web.Request, appointment_id: AppointmentId, person_ids: Iterable[str]) -> None:
    """Close the room of a cancelled appointment, whoever is in it."""
    await request.app[BUS].order(CloseRoom(str(appointment_id), "cancelled"))
    await send_out(request, appointment_id, person_ids)
