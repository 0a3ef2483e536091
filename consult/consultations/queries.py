"""SQL about the room of an appointment and what it left: bookings, seats, events, consents, attendances, segments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from consult.consultations.model import (
    Attendance,
    Booking,
    Consent,
    Consultation,
    Segment,
    SpooledSegment,
    Standing,
    TimelineEvent,
)
from consult.db.pool import Connection

_FETCH_BOOKING = """
    select a.id as appointment_id, a.case_id, a.expert_id, e.time_zone as expert_zone,
           array(select x.expert_id from panel_experts x where x.appointment_id = a.id) as panel_ids,
           lower(a.during) as starts_at, upper(a.during) as ends_at, a.cancelled_at, c.started_at, c.ended_at as over_at
      from appointments a
      join staff e on e.id = a.expert_id
      left join consultations c on c.appointment_id = a.id
     where a.id = $1
"""


async def fetch_booking(conn: Connection, appointment_id: UUID) -> Booking | None:
    row = await conn.fetchrow(_FETCH_BOOKING, appointment_id)
    return Booking(**row) if row else None


_FETCH_STANDING = """
    select exists (select from seats
                    where appointment_id = $1 and member_id = $2
                      and admitted_at is not null and removed_at is null) as admitted,
           coalesce((select given from consents
                      where appointment_id = $1 and person_id = $3
                      order by answered_at desc, at_ms desc limit 1), false) as consented,
           coalesce((select (payload ->> 'by_host')::boolean from room_events
                      where appointment_id = $1 and kind = 'RecordingSwitched'
                      order by at_ms desc, happened_at desc limit 1), false) as paused
"""


async def fetch_standing(conn: Connection, appointment_id: UUID, *, member_id: str, person_id: str) -> Standing:
    row = await conn.fetchrow(_FETCH_STANDING, appointment_id, member_id, person_id)
    return Standing(**row)


_INSERT_EVENT = """
    insert into room_events (event_id, appointment_id, kind, at_ms, happened_at, payload)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (event_id) do nothing
    returning event_id
"""


async def insert_event(
    conn: Connection,
    event_id: UUID,
    appointment_id: UUID,
    *,
    kind: str,
    at_ms: int,
    happened_at: datetime,
    payload: Mapping[str, Any],
) -> bool:
    """Return whether the event is new."""
    row = await conn.fetchrow(_INSERT_EVENT, event_id, appointment_id, kind, at_ms, happened_at, dict(payload))
    return row is not None


_INSERT_CONSULTATION = """
    insert into consultations (id, appointment_id, started_at) values ($1, $2, $3)
    on conflict (appointment_id) do nothing
"""


async def insert_consultation(
    conn: Connection,
    consultation_id: UUID,
    appointment_id: UUID,
    started_at: datetime,
) -> None:
    await conn.execute(_INSERT_CONSULTATION, consultation_id, appointment_id, started_at)


_UPDATE_CONSULTATION_ENDED = """
    update consultations set ended_at = $2, end_reason = $3 where appointment_id = $1 and ended_at is null
"""


async def update_consultation_ended(conn: Connection, appointment_id: UUID, ended_at: datetime, reason: str) -> None:
    await conn.execute(_UPDATE_CONSULTATION_ENDED, appointment_id, ended_at, reason)


_UPSERT_SEAT = """
    insert into seats (appointment_id, member_id, person_id, name, role, admitted_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (appointment_id, member_id) do update
      set name = excluded.name, role = excluded.role,
          admitted_at = coalesce(excluded.admitted_at, seats.admitted_at),
          removed_at = case when excluded.admitted_at is null then seats.removed_at end
"""


async def upsert_seat(
    conn: Connection,
    appointment_id: UUID,
    *,
    member_id: str,
    person_id: str,
    name: str,
    role: str,
    admitted_at: datetime | None,
) -> None:
    await conn.execute(_UPSERT_SEAT, appointment_id, member_id, person_id, name, role, admitted_at)


_UPDATE_SEAT_REMOVED = """
    update seats set removed_at = $3 where appointment_id = $1 and member_id = $2
"""


async def update_seat_removed(conn: Connection, appointment_id: UUID, member_id: str, removed_at: datetime) -> None:
    await conn.execute(_UPDATE_SEAT_REMOVED, appointment_id, member_id, removed_at)


_INSERT_CONSENT = """
    insert into consents (event_id, appointment_id, person_id, member_id, wording, given, at_ms, answered_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def insert_consent(
    conn: Connection,
    event_id: UUID,
    appointment_id: UUID,
    *,
    person_id: str,
    member_id: str,
    wording: str,
    given: bool,
    at_ms: int,
    answered_at: datetime,
) -> None:
    await conn.execute(
        _INSERT_CONSENT,
        event_id,
        appointment_id,
        person_id,
        member_id,
        wording,
        given,
        at_ms,
        answered_at,
    )


_INSERT_ATTENDANCE = """
    insert into attendances (event_id, appointment_id, member_id, person_id, name, role, joined_ms)
    values ($1, $2, $3, $4, $5, $6, $7)
"""


async def insert_attendance(
    conn: Connection,
    event_id: UUID,
    appointment_id: UUID,
    *,
    member_id: str,
    person_id: str,
    name: str,
    role: str,
    joined_ms: int,
) -> None:
    await conn.execute(
        _INSERT_ATTENDANCE,
        event_id,
        appointment_id,
        member_id,
        person_id,
        name,
        role,
        joined_ms,
    )


_CLOSE_ATTENDANCES = """
    update attendances set left_ms = greatest(joined_ms, $3), left_reason = $4
     where appointment_id = $1 and ($2::text is null or member_id = $2) and left_ms is null
"""


async def close_attendances(
    conn: Connection,
    appointment_id: UUID,
    member_id: str | None,
    left_ms: int,
    reason: str,
) -> None:
    """End the open attendances of one member, or of everybody (None)."""
    await conn.execute(_CLOSE_ATTENDANCES, appointment_id, member_id, left_ms, reason)


_CONSULTATION = """
    select c.id, c.appointment_id, a.case_id, c.started_at, c.ended_at, c.end_reason
      from consultations c join appointments a on a.id = c.appointment_id
"""
_FETCH_CONSULTATION = _CONSULTATION + " where c.id = $1"
_FETCH_CONSULTATION_OF = _CONSULTATION + " where c.appointment_id = $1"
_LIST_CONSULTATIONS = _CONSULTATION + " where a.case_id = $1 order by c.started_at"


async def fetch_consultation(conn: Connection, consultation_id: UUID) -> Consultation | None:
    row = await conn.fetchrow(_FETCH_CONSULTATION, consultation_id)
    return Consultation(**row) if row else None


async def fetch_consultation_of(conn: Connection, appointment_id: UUID) -> Consultation | None:
    row = await conn.fetchrow(_FETCH_CONSULTATION_OF, appointment_id)
    return Consultation(**row) if row else None


async def list_consultations(conn: Connection, case_id: int) -> list[Consultation]:
    return [Consultation(**row) for row in await conn.fetch(_LIST_CONSULTATIONS, case_id)]


_LIST_ATTENDANCES = """
    select member_id, person_id, name, role, joined_ms, left_ms, left_reason
      from attendances where appointment_id = $1 order by joined_ms, member_id
"""


async def list_attendances(conn: Connection, appointment_id: UUID) -> list[Attendance]:
    return [Attendance(**row) for row in await conn.fetch(_LIST_ATTENDANCES, appointment_id)]


_LIST_CONSENTS = """
    select distinct on (person_id) person_id, given, at_ms, wording
      from consents where appointment_id = $1 order by person_id, answered_at desc, at_ms desc
"""


async def list_consents(conn: Connection, appointment_id: UUID) -> list[Consent]:
    return [Consent(**row) for row in await conn.fetch(_LIST_CONSENTS, appointment_id)]


_LIST_EVENTS = """
    select kind, at_ms, payload from room_events
     where appointment_id = $1 and kind = any($2::text[]) order by at_ms, happened_at
"""


async def list_events(conn: Connection, appointment_id: UUID, kinds: tuple[str, ...]) -> list[TimelineEvent]:
    return [TimelineEvent(**row) for row in await conn.fetch(_LIST_EVENTS, appointment_id, list(kinds))]


_FETCH_IS_SHOWN = """
    select exists (
      select from attendances where appointment_id = $1 and person_id = $2 and left_ms is null
    ) and not exists (
      select from consultations where appointment_id = $1 and ended_at is not null
    ) and $3 = (
      select payload ->> 'record_id' from room_events where appointment_id = $1 and kind = 'ViewShown'
       order by at_ms desc, happened_at desc limit 1
    )
"""


async def fetch_is_shown(conn: Connection, appointment_id: UUID, person_id: str, record_id: str) -> bool:
    """Return whether a person is inside and the record is what was shown last."""
    return bool(await conn.fetchval(_FETCH_IS_SHOWN, appointment_id, person_id, record_id))


_SEGMENT = """
    select s.id, s.consultation_id, s.member_id, s.person_id, s.name, s.role, s.offset_ms, s.duration_ms, s.has_audio,
           s.has_video, s.media_type, s.size_bytes, s.blob_key, s.source
      from segments s
"""
_INSERT_SEGMENT = """
    insert into segments (id, consultation_id, member_id, person_id, name, role, offset_ms, duration_ms, has_audio,
                          has_video, media_type, size_bytes, blob_key, source, filed_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    on conflict (id) do nothing
    returning id
"""


async def insert_segment(conn: Connection, segment: Segment, filed_at: datetime) -> bool:
    """Return whether the segment is new."""
    row = await conn.fetchrow(
        _INSERT_SEGMENT, segment.id, segment.consultation_id, segment.member_id, segment.person_id, segment.name,
        segment.role, segment.offset_ms, segment.duration_ms, segment.has_audio, segment.has_video, segment.media_type,
        segment.size_bytes, segment.blob_key, segment.source, filed_at,
    )  # fmt: skip
    return row is not None


_FETCH_SEGMENT = _SEGMENT + " where s.id = $1"
_LIST_SEGMENTS = _SEGMENT + " where s.consultation_id = $1 order by s.offset_ms, s.member_id"


async def fetch_segment(conn: Connection, segment_id: UUID) -> Segment | None:
    row = await conn.fetchrow(_FETCH_SEGMENT, segment_id)
    return Segment(**row) if row else None


async def list_segments(conn: Connection, consultation_id: UUID) -> list[Segment]:
    return [Segment(**row) for row in await conn.fetch(_LIST_SEGMENTS, consultation_id)]


_LIST_UNFILED = """
    select distinct (e.payload ->> 'segment_id')::uuid as segment_id from room_events e
     where e.kind = 'RecordingFinished'
       and not exists (select from segments s where s.id = (e.payload ->> 'segment_id')::uuid)
"""
_COUNT_UNFILED = """
    select count(distinct e.payload ->> 'segment_id') from room_events e
     where e.appointment_id = $1 and e.kind = 'RecordingFinished'
       and not exists (select from segments s where s.id = (e.payload ->> 'segment_id')::uuid)
"""


async def list_unfiled(conn: Connection) -> list[UUID]:
    """Return the finished recordings, of all appointments, that are not filed yet."""
    return [row["segment_id"] for row in await conn.fetch(_LIST_UNFILED)]


async def count_unfiled(conn: Connection, appointment_id: UUID) -> int:
    """Return how many finished recordings of an appointment are not filed yet."""
    count: int = await conn.fetchval(_COUNT_UNFILED, appointment_id)
    return count


_FETCH_FINISHED = """
    select appointment_id, payload from room_events
     where kind = 'RecordingFinished' and payload ->> 'segment_id' = $1
     order by happened_at limit 1
"""


async def fetch_spooled(conn: Connection, segment_id: UUID) -> SpooledSegment | None:
    """Return what the recorder said of a segment when it was finished."""
    row = await conn.fetchrow(_FETCH_FINISHED, str(segment_id))
    if row is None:
        return None
    payload = row["payload"]
    return SpooledSegment(
        segment_id=segment_id,
        appointment_id=row["appointment_id"],
        **{name: payload[name] for name in _SPOOLED_FIELDS},
        source=payload.get("source", "camera"),  # what was told before screens were recorded does not say it
    )


_SPOOLED_FIELDS = (
    "member_id", "person_id", "name", "role", "path", "offset_ms", "duration_ms", "has_audio", "has_video",
)  # fmt: skip
