"""The pages of patients and guests before and after a call: steps, records, questions.

Every page needs a visit (an opened invitation). The call itself and its seat are views of `consultations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from consult.cases import service as cases
from consult.cases.model import MAX_QUESTION_CHARS, AskedBy, Question
from consult.consultations import service as consultations
from consult.domain.clock import is_time_zone, utc_now
from consult.domain.errors import FileRefused, InvalidInput, NotFound
from consult.domain.ids import QuestionId, RecordId
from consult.domain.words import N_
from consult.keys import LIMITER, POOL, SETTINGS, STORE
from consult.records import service as records
from consult.records.model import UNNAMED, Record, UploadedBy
from consult.scheduling.join_views import routes
from consult.scheduling.model import GUEST_COMES_AS, Visit
from consult.scheduling.visit_patient import lead_on, require_patient, to
from consult.scheduling.visit_steps import (
    STEPS_COOKIE,
    TITLES,
    Step,
    first_open,
    lines,
    read_done,
    steps_of,
    write_done,
)
from consult.scheduling.visit_times import in_one_line, say_when, whole_minutes, zone_of
from consult.web.address import client_address, wants_page
from consult.web.forms import Form, read_form, read_upload
from consult.web.forms import Upload as IncomingFile
from consult.web.params import uuid_in_path
from consult.web.render import file_size, reader_words, render
from consult.web.session import find_visit, read_cookie, require_visit, set_cookie
from consult.web.words import Words

__all__ = ["routes"]

STEPS_COOKIE_S = 60 * 86_400
CHOOSE_FILE = N_("Please choose a file first.")


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record as it stands in the patient's list. facts: 3 pages, 1.2 MB."""

    id: RecordId
    title: str
    is_picture: bool
    facts: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that did not arrive, and why, in the reader's language."""

    file_name: str
    reason: str


@routes.get("/visit")
async def show_next(request: web.Request) -> web.Response:
    visit = await find_visit(request)
    if visit is None:
        return await lead_on(request)
    if await _ended(request, visit) is not None:
        return to("/visit/after")
    step = first_open(steps_of(visit), _done(request, visit))
    return to(step.href if step else "/visit/call")


@routes.get("/visit/when")
async def show_when(request: web.Request) -> web.Response:
    return await _show_step(request, await require_visit(request), Step.WHEN)


@routes.get("/visit/records")
async def show_records(request: web.Request) -> web.Response:
    return await _show_step(request, await require_visit(request), Step.RECORDS)


@routes.get("/visit/devices")
async def show_devices(request: web.Request) -> web.Response:
    return await _show_step(request, await require_visit(request), Step.DEVICES)


@routes.get("/visit/recording")
async def show_recording(request: web.Request) -> web.Response:
    return await _show_step(request, await require_visit(request), Step.RECORDING)


@routes.post("/visit/steps/{step}")
async def finish_step(request: web.Request) -> web.Response:
    """Remember on this device that the step is done, and lead on to the one after it."""
    visit = await require_visit(request)
    steps = steps_of(visit)
    step = next((one for one in steps if one.value == request.match_info["step"]), None)
    if step is None:
        raise NotFound("step")
    following = steps[steps.index(step) + 1 :]
    answer = to(following[0].href if following else "/visit/call")
    done = write_done({*_done(request, visit), step}, visit.id)
    set_cookie(request, answer, STEPS_COOKIE, done, max_age_s=STEPS_COOKIE_S)
    return answer


@routes.post("/visit/time-zone")
async def learn_time_zone(request: web.Request) -> web.Response:
    """Take the zone that the browser names, and answer with the appointment's time in it."""
    visit = await require_visit(request)
    time_zone = (await read_form(request)).text("time_zone", required=True, max_chars=80)
    if not is_time_zone(time_zone):
        raise InvalidInput({"time_zone": N_("We do not know this time zone.")})
    if not visit.is_guest:
        async with request.app[POOL].acquire() as conn:
            await cases.learn_time_zone(conn, visit.patient_id, time_zone)
    return web.json_response(say_when(visit, time_zone, reader_words(request)).as_dict())


@routes.post("/visit/questions")
async def ask_question(request: web.Request) -> web.Response:
    visit = await require_patient(request)
    form = await read_form(request)
    text = form.text("question", max_chars=MAX_QUESTION_CHARS)
    question: Question | None = None
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn:
                question = await cases.ask_question(conn, visit.case_id, text, AskedBy.PATIENT, utc_now())
        except InvalidInput as wrong:
            form.take(wrong)
    if question is None:
        if wants_page(request):
            return await _show_step(request, visit, Step.RECORDS, form=form, status=422)
        raise InvalidInput(form.errors)
    if wants_page(request):
        return to("/visit/records#questions")
    return web.json_response({"id": str(question.id), "text": question.text, "remove": _question_path(question.id)})


@routes.post("/visit/questions/{id}/remove")
async def remove_question(request: web.Request) -> web.Response:
    visit = await require_patient(request)
    form = Form(reader_words(request), {})
    try:
        async with request.app[POOL].acquire() as conn:
            await cases.remove_question(conn, visit.case_id, QuestionId(uuid_in_path(request)), AskedBy.PATIENT)
    except InvalidInput as wrong:
        if not wants_page(request):
            raise
        form.take(wrong)
        return await _show_step(request, visit, Step.RECORDS, form=form, status=422)
    return to("/visit/records#questions") if wants_page(request) else web.json_response({})


@routes.post("/visit/records")
async def add_records(request: web.Request) -> web.Response:
    """Keep what was sent: one file from a script, any number from a form."""
    visit = await require_patient(request)
    if wants_page(request):
        return await _take_all(request, visit)
    file = await read_upload(request)
    if file.file_name is None:
        raise InvalidInput({"file": CHOOSE_FILE})
    line = _record_line(await _keep(request, visit, file), reader_words(request))
    return web.json_response(
        {
            "id": str(line.id),
            "title": line.title,
            "facts": line.facts,
            "icon": "picture" if line.is_picture else "record",
            "open": f"/records/{line.id}/download",
            "remove": f"/visit/records/{line.id}/remove",
        }
    )


@routes.post("/visit/records/{id}/remove")
async def remove_record(request: web.Request) -> web.Response:
    visit = await require_patient(request)
    record_id = RecordId(uuid_in_path(request))
    async with request.app[POOL].acquire() as conn:
        await records.remove_record(conn, visit.case_id, record_id, uploaded_by=UploadedBy.PATIENT, now=utc_now())
    return to("/visit/records#records") if wants_page(request) else web.json_response({})


@routes.get("/visit/after")
async def show_after(request: web.Request) -> web.Response:
    visit = await require_visit(request)
    ended_at = await _ended(request, visit)
    if ended_at is None and utc_now() < visit.ends_at:
        return to("/visit")
    values: dict[str, Any] = {"took_place": ended_at is not None, "first_name": visit.name.split()[0]}
    if ended_at is not None:
        values["ended"] = in_one_line(ended_at, zone_of(visit), reader_words(request))
    return render(request, "patient/after.html", values)


async def _take_all(request: web.Request, visit: Visit) -> web.Response:
    """Keep every file of a form. One that fails leaves the others be; the page then says which, and why."""
    words = reader_words(request)
    failures: list[Failure] = []
    count = 0
    while (file := await read_upload(request)).file_name is not None:
        count += 1
        try:
            await _keep(request, visit, file)
        except FileRefused as refused:
            failures.append(Failure(file.file_name or "", words.say(refused.message, **refused.values)))
    if count == 0:
        form = Form(words, {})
        form.wrong("file", CHOOSE_FILE)
        return await _show_step(request, visit, Step.RECORDS, form=form, status=422)
    if failures:
        return await _show_step(request, visit, Step.RECORDS, failures=failures, status=422)
    return to("/visit/records#records")


async def _keep(request: web.Request, visit: Visit, file: IncomingFile) -> Record:
    """Keep one file of the patient's. No connection is held while a slow phone sends it."""
    await request.app[LIMITER].hit("upload", address=client_address(request), account=str(visit.invitation_id))
    async with records.receive(file.chunks) as upload, request.app[POOL].acquire() as conn:
        return await records.keep_record(
            conn,
            request.app[STORE],
            visit.case_id,
            upload,
            file_name=file.file_name or "",
            uploaded_by=UploadedBy.PATIENT,
            unnamed=reader_words(request).gettext(UNNAMED),
            now=utc_now(),
        )


async def _show_step(
    request: web.Request,
    visit: Visit,
    step: Step,
    *,
    form: Form | None = None,
    failures: list[Failure] | None = None,
    status: int = 200,
) -> web.Response:
    if await _ended(request, visit) is not None:
        return to("/visit/after")
    if step not in steps_of(visit):
        return to("/visit")
    words = reader_words(request)
    kept: list[Record] = []
    asked: list[Question] = []
    if not visit.is_guest:
        async with request.app[POOL].acquire() as conn:
            kept = await records.list_records(conn, visit.case_id)
            asked = await cases.list_questions(conn, visit.case_id)
    when = say_when(visit, zone_of(visit), words)
    done = _done(request, visit)
    summaries = {Step.WHEN: when.short, Step.RECORDS: _counted(len(kept), len(asked), words)}
    steps = lines(steps_of(visit), done, step, words.gettext, summaries)
    values: dict[str, Any] = {
        "steps": steps,
        "this_step": next(line for line in steps if line.is_here),
        "step_title": words.gettext(TITLES[step]),
        "when": when,
        "new_link_url": f"{request.app[SETTINGS].public_url}/join/new-link",
        "guest_as": words.gettext(GUEST_COMES_AS[visit.role]) if visit.is_guest else "",
        "minutes": whole_minutes(visit.ends_at - visit.starts_at),
        "records": [_record_line(record, words) for record in kept],
        "questions": asked,
        "failures": failures or [],
    }
    if form is not None:
        values |= {"errors": form.errors, "values": form.values}
    return render(request, f"patient/visit_{step.value}.html", values, status=status)


async def _ended(request: web.Request, visit: Visit) -> datetime | None:
    """Return when the call ended, None if it did not (yet)."""
    async with request.app[POOL].acquire() as conn:
        consultation = await consultations.find_consultation_of(conn, visit.appointment_id)
    return consultation.ended_at if consultation else None


def _done(request: web.Request, visit: Visit) -> frozenset[Step]:
    return read_done(read_cookie(request, STEPS_COOKIE), visit.id)


def _record_line(record: Record, words: Words) -> RecordLine:
    size = file_size(record.size_bytes, locale=words.language)
    pages = words.ngettext("%(num)d page", "%(num)d pages", record.page_count) % {"num": record.page_count}
    facts = words.gettext("Picture") if record.is_picture else pages
    is_own = record.uploaded_by is UploadedBy.PATIENT
    return RecordLine(record.id, record.title, record.is_picture, f"{facts}, {size}", is_own)


def _counted(record_count: int, question_count: int, words: Words) -> str:
    counted_records = words.ngettext("%(num)d record", "%(num)d records", record_count) % {"num": record_count}
    counted = words.ngettext("%(num)d question", "%(num)d questions", question_count) % {"num": question_count}
    return f"{counted_records}, {counted}"


def _question_path(question_id: QuestionId) -> str:
    return f"/visit/questions/{question_id}/remove"
