"""Records coming into a case from staff: one file per request, with progress by a script or by a plain form."""

from __future__ import annotations

from aiohttp import web

from consult.cases.page_views import render_case, require_case_reader, see
from consult.domain.clock import utc_now
from consult.domain.errors import ConsultError, InvalidInput
from consult.domain.ids import CaseId, RecordId
from consult.domain.words import N_
from consult.keys import LIMITER, POOL, STORE
from consult.records import service as records
from consult.records.model import UNNAMED, Record, UploadedBy
from consult.web.address import client_address, wants_page
from consult.web.forms import Form, read_upload
from consult.web.params import number_in_path, uuid_in_path
from consult.web.render import reader_words
from consult.web.session import require_staff

routes = web.RouteTableDef()

NO_FILE = N_("Choose a file first.")


@routes.post("/cases/{id:[0-9]+}/records")
async def add_record(request: web.Request) -> web.Response:
    """Keep one file. A script gets JSON (201); a plain form gets its page again."""
    case_id = CaseId(number_in_path(request))
    async with request.app[POOL].acquire() as conn:
        staff = await require_case_reader(request, conn, case_id)
    try:
        await request.app[LIMITER].hit("upload", address=client_address(request), account=f"staff:{staff.id}")
        record = await _take(request, case_id)
    except ConsultError as refused:
        if not wants_page(request):
            raise
        return await render_case(request, case_id, form=_marked(request, refused), status=refused.status)
    if wants_page(request):
        return see(f"/cases/{case_id}#records")
    facts = {"id": str(record.id), "title": record.title, "page_count": record.page_count}
    return web.json_response(facts | {"size_bytes": record.size_bytes}, status=201)


@routes.post("/cases/{id:[0-9]+}/records/{record}/remove")
async def remove_record(request: web.Request) -> web.Response:
    case_id, record_id = CaseId(number_in_path(request)), RecordId(uuid_in_path(request, "record"))
    await require_staff(request)
    async with request.app[POOL].acquire() as conn:
        await require_case_reader(request, conn, case_id)
        await records.remove_record(conn, case_id, record_id, now=utc_now())
    return see(f"/cases/{case_id}#records")


async def _take(request: web.Request, case_id: CaseId) -> Record:
    upload = await read_upload(request)
    if upload.file_name is None:
        raise InvalidInput({"file": NO_FILE})
    async with records.receive(upload.chunks) as received, request.app[POOL].acquire() as conn:
        return await records.keep_record(
            conn,
            request.app[STORE],
            case_id,
            received,
            file_name=upload.file_name,
            title=upload.fields.get("title", ""),
            uploaded_by=UploadedBy.STAFF,
            unnamed=reader_words(request).gettext(UNNAMED),
            now=utc_now(),
        )


def _marked(request: web.Request, refused: ConsultError) -> Form:
    """The case page's form with what was wrong beside its field."""
    form = Form(reader_words(request), {})
    if isinstance(refused, InvalidInput):
        form.take(refused)
    else:
        form.wrong("file", refused.message, **refused.values)
    return form
