"""Everybody who may come to a clinic's pages, each with the cookies of a browser: for asking who may do what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from PIL import Image

from consult.cases import service as cases
from consult.cases.model import AskedBy
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.ids import StaffId
from consult.keys import STORE
from consult.notices import service as notices
from consult.people import service as people
from consult.records import service as records
from consult.records.model import UploadedBy
from consult.scheduling import service as scheduling
from consult.scheduling.model import IssuedLink
from consult.settings import Settings
from consult.waiting import service as waiting
from consult.waiting.model import Wishes
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, Clinic, book_one, open_case, open_clinic

NOBODY, PATIENT, GUEST, STRANGER = "nobody", "patient", "guest", "patient of another case"
SCHEDULER, EXPERT, OTHER_EXPERT, ADMINISTRATOR = "scheduler", "expert", "expert of another case", "administrator"


@dataclass(frozen=True, slots=True)
class Town:
    """A case with everything in it, and who there is. tokens: of a session or a visit, by persona."""

    clinic: Clinic
    appointment_id: uuid.UUID
    record_id: uuid.UUID
    question_id: uuid.UUID
    segment_id: uuid.UUID
    consultation_id: uuid.UUID
    mail_id: uuid.UUID
    wait_entry_id: uuid.UUID
    link: IssuedLink
    tokens: dict[str, str]

    def cookie_of(self, persona: str) -> dict[str, str]:
        token = self.tokens.get(persona)
        if token is None:
            return {}
        kind = "consult_visit" if persona in (PATIENT, GUEST, STRANGER) else "consult_staff"
        return {"Cookie": f"{kind}={token}"}

    def headers_of(self, persona: str, settings: Settings) -> dict[str, str]:
        """Cookie and the proof that a page of ours would have given this browser."""
        headers = self.cookie_of(persona)
        if not headers:
            return {"Cookie": "consult_form=anything", "X-CSRF": proof_of("anything", settings)}
        return headers | {"X-CSRF": proof_of(self.tokens[persona], settings)}


def proof_of(token: str, settings: Settings) -> str:
    mac = hmac.new(settings.key_for("csrf"), token.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def picture(side: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, 30), "teal").save(out, "PNG")
    return out.getvalue()


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def settle(server: Server, conn: Any) -> Town:
    """A call that begins in five minutes, its record, question and recording; another case with another expert."""
    now = utc_now()
    clinic = await open_clinic(conn, now=now)
    starts_at = now + timedelta(minutes=5)
    appointment, link = await book_one(conn, clinic, starts_at, now=now)
    guest = await scheduling.invite_guest(conn, appointment.id, name="Ines Sol", role="interpreter", now=now)
    elsewhere = await open_case(conn, clinic.scheduler, name="Marc Weil", email="marc@example.org", now=now)
    _other, others_link = await scheduling.book(
        conn, elsewhere, clinic.other_expert, starts_at, timedelta(minutes=45), booked_by=clinic.scheduler, now=now,
        outside_hours=True,
    )  # fmt: skip
    administrator = await people.create_staff(
        conn, email="root@clinic.example", name="Ada", role=StaffRole.ADMINISTRATOR, time_zone="UTC",
        password=PASSWORD, now=now,
    )  # fmt: skip
    tokens = {}
    for persona, issued in ((PATIENT, link), (GUEST, guest), (STRANGER, others_link)):
        tokens[persona] = (await scheduling.open_invitation(conn, now=now, secret=issued.secret)).token
    staff = {SCHEDULER: clinic.scheduler, EXPERT: clinic.expert, OTHER_EXPERT: clinic.other_expert}
    for persona, staff_id in (staff | {ADMINISTRATOR: administrator}).items():
        tokens[persona] = await people.start_session(conn, StaffId(staff_id), now)
    record = await records.add_record(
        conn, server.app[STORE], clinic.case, file_name="scan.png", chunks=in_chunks(picture()),
        uploaded_by=UploadedBy.PATIENT, now=now,
    )  # fmt: skip
    question = await cases.ask_question(conn, clinic.case, "May I drive?", AskedBy.PATIENT, now)
    consultation_id, segment_id = await _keep_segment(server, conn, appointment.id)
    question_id: Any = getattr(question, "id", question)
    await notices.queue_invitation(conn, appointment.id, now)
    mail_id = await conn.fetchval("select id from mails where audience = 'patient'")
    waits = await waiting.add(conn, clinic.case, Wishes(), added_by=clinic.scheduler, now=now)
    return Town(
        clinic, appointment.id, record.id, question_id, segment_id, consultation_id, mail_id, waits, link, tokens
    )


async def _keep_segment(server: Server, conn: Any, appointment_id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID]:
    """A consultation with one filed segment, whose text failed, and its video."""
    for key in ("recordings/one.webm", "recordings/call.mp4"):
        await server.app[STORE].put(key, in_chunks(bytes(2000)))
    consultation_id, segment_id, now = uuid.uuid4(), uuid.uuid4(), utc_now()
    await conn.execute(
        "insert into consultations (id, appointment_id, started_at) values ($1, $2, $3)",
        consultation_id, appointment_id, now,
    )  # fmt: skip
    await conn.execute(
        """insert into segments (id, consultation_id, member_id, person_id, name, role, offset_ms, duration_ms,
             has_audio, has_video, media_type, size_bytes, blob_key, filed_at)
           values ($1, $2, 'm', 'person:1', 'Ana Ribeiro', 'patient', 0, 1000, true, true, 'video/webm', 2000,
             'recordings/one.webm', $3)""",
        segment_id, consultation_id, now,
    )  # fmt: skip
    await conn.execute(
        """insert into transcripts (segment_id, language, engine, queued_at, started_at, failed_at, failure)
           values ($1, 'en', '', $2, $2, $2, 'engine')""",
        segment_id, now,
    )  # fmt: skip
    await conn.execute(
        """insert into compositions (consultation_id, queued_at, started_at, finished_at, segments, blob_key,
             size_bytes, duration_ms)
           values ($1, $2, $2, $2, 1, 'recordings/call.mp4', 2000, 1000)""",
        consultation_id, now,
    )  # fmt: skip
    return consultation_id, segment_id
