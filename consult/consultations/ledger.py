"""Turns what rooms tell into facts: who waited, was let in, was there, agreed to recording; when it began and ended.

Events may come twice and after a crash. The row in room_events decides: only the first insert has effects, all of them
in the same transaction. A finished recording is only noted here, with a job that files it;
files are `filing.py`'s work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid5

from consult.consultations import queries
from consult.consultations.errors import EventRefused
from consult.consultations.video import queue_videos
from consult.db.pool import Connection
from signaling.events import (
    ConsentGiven,
    ConsentRefused,
    MemberAdmitted,
    MemberJoined,
    MemberLeft,
    MemberWaiting,
    RecordingFinished,
    RoomClosed,
    RoomEvent,
    RoomOpened,
)

FILE_SEGMENT = "file_segment"
_REMOVED = frozenset({"removed", "expired"})
_ENVELOPE = frozenset({"event_id", "room_id", "at_ms", "happened_at"})

Enqueue = Callable[..., Awaitable[object]]


async def apply_event(conn: Connection, event: RoomEvent, now: datetime, *, enqueue: Enqueue) -> bool:
    """Record an event and what follows from it; return False if it was known already.

    The caller owns the transaction. enqueue(conn, kind, payload, key=…): puts a job into the same transaction.
    Raises EventRefused if the event names no appointment of ours or carries what cannot be read.
    """
    event_id, appointment_id = _uuid(event.event_id), _uuid(event.room_id)
    if await queries.fetch_booking(conn, appointment_id) is None:
        raise EventRefused(f"event {event_id}: no appointment {appointment_id}")
    fields = {name: value for name, value in dataclasses.asdict(event).items() if name not in _ENVELOPE}
    is_new = await queries.insert_event(
        conn, event_id, appointment_id, kind=type(event).__name__, at_ms=event.at_ms,
        happened_at=_instant(event.happened_at), payload=fields,
    )  # fmt: skip
    if is_new:
        await _take_effect(conn, event, event_id, appointment_id, now, enqueue)
    return is_new


async def _take_effect(
    conn: Connection,
    event: RoomEvent,
    event_id: UUID,
    appointment_id: UUID,
    now: datetime,
    enqueue: Enqueue,
) -> None:
    match event:
        case RoomOpened():
            await _open(conn, appointment_id, _instant(event.happened_at))
        case MemberWaiting() | MemberAdmitted():
            admitted_at = _instant(event.happened_at) if isinstance(event, MemberAdmitted) else None
            await queries.upsert_seat(
                conn, appointment_id, member_id=event.member_id, person_id=event.person_id, name=event.name,
                role=event.role, admitted_at=admitted_at,
            )  # fmt: skip
        case MemberJoined():
            # A row still open belongs to a room that was lost: nobody saw this device go.
            await queries.close_attendances(conn, appointment_id, event.member_id, event.at_ms, "lost")
            await queries.insert_attendance(
                conn, event_id, appointment_id, member_id=event.member_id, person_id=event.person_id, name=event.name,
                role=event.role, joined_ms=event.at_ms,
            )  # fmt: skip
        case MemberLeft():
            await queries.close_attendances(conn, appointment_id, event.member_id, event.at_ms, event.reason)
            if event.reason in _REMOVED:
                await queries.update_seat_removed(conn, appointment_id, event.member_id, now)
        case ConsentGiven() | ConsentRefused():
            await queries.insert_consent(
                conn, event_id, appointment_id, person_id=event.person_id, member_id=event.member_id,
                wording=event.wording, given=isinstance(event, ConsentGiven), at_ms=event.at_ms,
                answered_at=_instant(event.happened_at),
            )  # fmt: skip
        case RecordingFinished():
            await _note_recording(conn, event, appointment_id, enqueue)
        case RoomClosed():
            await queries.close_attendances(conn, appointment_id, None, event.at_ms, "ended")
            if event.reason == "ended":  # an idle or restarted room may open again, on the same clock
                await _end(conn, event, appointment_id)
                # What was recorded may be filed already; what is filed later asks for the video itself.
                await queue_videos(conn, now, enqueue=enqueue, consultation_id=consultation_id_of(appointment_id))
        case _:
            pass  # views, chat and switches of the recording are read from room_events as they are


async def _note_recording(conn: Connection, event: RecordingFinished, appointment_id: UUID, enqueue: Enqueue) -> None:
    await _open(conn, appointment_id, _instant(event.started_at))
    await queue_filing(conn, _uuid(event.segment_id), enqueue=enqueue)


async def queue_filing(conn: Connection, segment_id: UUID, *, enqueue: Enqueue) -> None:
    await enqueue(conn, FILE_SEGMENT, {"segment_id": str(segment_id)}, key=f"{FILE_SEGMENT}:{segment_id}")


async def queue_unfiled(conn: Connection, *, enqueue: Enqueue) -> int:
    """Queue every finished recording that was never filed, whatever became of its job; return how many there are."""
    unfiled = await queries.list_unfiled(conn)
    for segment_id in unfiled:
        await queue_filing(conn, segment_id, enqueue=enqueue)
    return len(unfiled)


async def _open(conn: Connection, appointment_id: UUID, started_at: datetime) -> None:
    await queries.insert_consultation(conn, consultation_id_of(appointment_id), appointment_id, started_at)


async def _end(conn: Connection, event: RoomClosed, appointment_id: UUID) -> None:
    await queries.update_consultation_ended(conn, appointment_id, _instant(event.happened_at), event.reason)


def consultation_id_of(appointment_id: UUID) -> UUID:
    """An appointment has one consultation; its id follows from it, whichever event tells of it first."""
    return uuid5(appointment_id, "consultation")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise EventRefused("an id is not a UUID") from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise EventRefused("an instant is not ISO 8601") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
