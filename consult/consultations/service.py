"""What the rest of the application may ask of consultations.

Seats are decided in `seats.py`, a room's events become facts in `ledger.py`, a recording's file is filed in
`filing.py`, the one video of a call is made in `video.py`; this module is their front door, and reads what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from consult.consultations import queries
from consult.consultations.filing import discard_recording, keep_recording
from consult.consultations.ledger import FILE_SEGMENT, apply_event, queue_unfiled
from consult.consultations.model import Attendance, Consent, Consultation, Segment, Timeline, Written
from consult.consultations.seats import device_of, issue_seat_for_staff, issue_seat_for_visit
from consult.consultations.timeline import KINDS, timeline_of, written_in
from consult.consultations.video import MAKE_VIDEO, Studio, ask_for_video, fetch_video, make_video, queue_videos
from consult.db.pool import Connection
from consult.domain.access import may_read_case
from consult.domain.errors import NotFound
from consult.domain.ids import CaseId
from consult.people.model import Staff
from consult.scheduling import service as scheduling
from consult.scheduling.model import Visit

__all__ = [
    "FILE_SEGMENT",
    "MAKE_VIDEO",
    "Studio",
    "apply_event",
    "ask_for_video",
    "count_unfiled",
    "device_of",
    "discard_recording",
    "fetch_consultation",
    "fetch_segment",
    "fetch_video",
    "find_consultation_of",
    "is_shown_to",
    "issue_seat_for_staff",
    "issue_seat_for_visit",
    "keep_recording",
    "list_attendances",
    "list_chat",
    "list_consents",
    "list_consultations",
    "list_segments",
    "make_video",
    "queue_unfiled",
    "queue_videos",
    "read_timeline",
    "refuse_unless_reader",
]


async def fetch_consultation(conn: Connection, consultation_id: UUID) -> Consultation:
    """Raises NotFound."""
    consultation = await queries.fetch_consultation(conn, consultation_id)
    if consultation is None:
        raise NotFound(f"consultation {consultation_id}")
    return consultation


async def find_consultation_of(conn: Connection, appointment_id: UUID) -> Consultation | None:
    """Return the consultation that took place at an appointment, None if none did yet."""
    return await queries.fetch_consultation_of(conn, appointment_id)


async def list_consultations(conn: Connection, case_id: int) -> list[Consultation]:
    """Return the consultations of a case, the first one first."""
    return await queries.list_consultations(conn, case_id)


async def list_attendances(conn: Connection, appointment_id: UUID) -> list[Attendance]:
    """Return who was there when, per device, in the order of coming."""
    return await queries.list_attendances(conn, appointment_id)


async def list_consents(conn: Connection, appointment_id: UUID) -> list[Consent]:
    """Return each person's last answer to the question about recording."""
    return await queries.list_consents(conn, appointment_id)


async def read_timeline(
    conn: Connection, consultation: Consultation, segments: Sequence[Segment], attendances: Sequence[Attendance]
) -> Timeline:
    """Return what was shown and written and where nothing was recorded, given what is filed and who was there."""
    events = await queries.list_events(conn, consultation.appointment_id, KINDS)
    return timeline_of(segments, attendances, events)


async def list_chat(conn: Connection, appointment_id: UUID, member_id: str, *, hosts: bool = False) -> list[Written]:
    """Return what was written in the call so far, for a device that may read it: a host's, or one that was let in."""
    standing = await queries.fetch_standing(conn, appointment_id, member_id=member_id, person_id="")
    if not hosts and not standing.admitted:
        return []
    return written_in(await queries.list_events(conn, appointment_id, ("ChatSaid",)))


async def list_segments(conn: Connection, consultation_id: UUID) -> list[Segment]:
    """Return what is filed of a recording, in order."""
    return await queries.list_segments(conn, consultation_id)


async def is_shown_to(conn: Connection, visit: Visit, record_id: str) -> bool:
    """Return whether a record is what everybody in the call looks at now, and this visitor is in it (SECURITY 9)."""
    return await queries.fetch_is_shown(conn, visit.appointment_id, f"person:{visit.person_id}", record_id)


async def count_unfiled(conn: Connection, appointment_id: UUID) -> int:
    """Return how many pieces of the recording are finished, but not filed yet."""
    return await queries.count_unfiled(conn, appointment_id)


async def fetch_segment(conn: Connection, segment_id: UUID) -> Segment:
    """Raises NotFound."""
    segment = await queries.fetch_segment(conn, segment_id)
    if segment is None:
        raise NotFound(f"segment {segment_id}")
    return segment


async def refuse_unless_reader(conn: Connection, staff: Staff, case_id: int) -> None:
    """Raises NotFound unless this member of staff may read the case: for everybody else it is not there."""
    experts = await scheduling.list_expert_ids(conn, CaseId(case_id))
    if not may_read_case(staff.role, staff.id, experts):
        raise NotFound(f"case {case_id}")
