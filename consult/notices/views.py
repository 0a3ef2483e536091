"""What was sent: every message with its fate, sending one again, and the outbox while no mail server is set."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import structlog
from aiohttp import web

from consult.domain.access import Action, may
from consult.domain.clock import utc_now
from consult.domain.errors import InvalidInput, NotAllowed, NotFound
from consult.domain.words import N_
from consult.keys import POOL, SETTINGS
from consult.notices import service
from consult.notices.model import Audience, Channel, MailId, MailState
from consult.notices.reasons import say_reason
from consult.people.model import Staff
from consult.scheduling.service import read_number
from consult.web.forms import Form, read_form
from consult.web.params import uuid_in_path
from consult.web.render import reader_words, render
from consult.web.session import require_staff

log = structlog.get_logger()

routes = web.RouteTableDef()

MAX_PAGE = 20_000  # a million messages
NOT_A_NUMBER = N_("An appointment's number has digits alone.")
OPENED, NOT_OPENED = "opened", "not_opened"


@dataclass(frozen=True, slots=True)
class Filter:
    """What of all messages is shown. show: a MailState, `opened`, `not_opened` or "" for all. number: as typed."""

    show: str
    number: str
    page: int
    wrong_number: bool

    def query(self, page: int) -> str:
        known = {"show": self.show, "number": self.number, "page": str(page) if page > 1 else ""}
        return urlencode({name: value for name, value in known.items() if value})


@routes.get("/messages")
async def show_messages(request: web.Request) -> web.Response:
    staff = await _require_reader(request)
    asked = _filter(request)
    number = read_number(asked.number) if asked.number else None
    async with request.app[POOL].acquire() as conn:
        lines, has_older = (
            ([], False)
            if asked.wrong_number
            else await service.list_messages(
                conn,
                state=MailState(asked.show) if asked.show in set(MailState) else None,
                number=number,
                link_opened={OPENED: True, NOT_OPENED: False}.get(asked.show),
                page=asked.page,
            )
        )
    words = reader_words(request)
    values = {
        "lines": [(line, say_reason(line.mail, words)) for line in lines],
        "asked": asked,
        "errors": {"number": words.gettext(NOT_A_NUMBER)} if asked.wrong_number else {},
        "older": asked.query(asked.page + 1) if has_older and asked.page < MAX_PAGE else "",
        "newer": asked.query(asked.page - 1) if asked.page > 1 else None,
        "may_send": may(staff.role, Action.ISSUE_LINK),
        "zone": staff.time_zone,
    }
    return render(request, "staff/messages.html", values)


@routes.get("/messages/{id}/again")
async def ask_again(request: web.Request) -> web.Response:
    """Ask to which address a message is to go once more."""
    await _require_sender(request)
    return await _render_again(request, MailId(uuid_in_path(request)))


@routes.post("/messages/{id}/again")
async def send_again(request: web.Request) -> web.Response:
    staff = await _require_sender(request)
    mail_id = MailId(uuid_in_path(request))
    form = await read_form(request)
    address = form.text("email", max_chars=254)
    if not form.errors:
        try:
            async with request.app[POOL].acquire() as conn, conn.transaction():
                await service.send_again(conn, mail_id, address=address, by=staff.id, now=utc_now())
            log.info("message.again", message=str(mail_id), staff=staff.id)
        except InvalidInput as wrong:
            form.take(wrong)
    if form.errors:
        return await _render_again(request, mail_id, form=form, status=422)
    return web.Response(status=303, headers={"Location": "/messages"})


@routes.get("/outbox")
async def show_outbox(request: web.Request) -> web.Response:
    """Where mails stood before there was a page for all messages."""
    await _require_reader(request)
    return web.Response(status=303, headers={"Location": "/messages"})


@routes.get("/outbox/{name}")
async def show_mail(request: web.Request) -> web.Response:
    """One mail, with its link to press. With a mail server there is none to show: it is in the reader's mailbox."""
    staff = await _require_reader(request)
    if request.app[SETTINGS].mail_url is not None:
        raise NotFound("outbox")
    async with request.app[POOL].acquire() as conn:
        found = await service.read_mail(conn, request.match_info["name"], request.app[SETTINGS])
    if found is None:
        raise NotFound("mail")
    mail, letter = found
    return render(request, "staff/mail.html", {"mail": mail, "letter": letter, "zone": staff.time_zone})


async def _render_again(
    request: web.Request, mail_id: MailId, *, form: Form | None = None, status: int = 200
) -> web.Response:
    staff = await _require_sender(request)
    async with request.app[POOL].acquire() as conn:
        mail = await service.fetch_message(conn, mail_id)
    if mail.appointment_id is None and mail.channel is Channel.MAIL:
        raise NotFound("message")
    values = {
        "mail": mail,
        "reason": say_reason(mail, reader_words(request)),
        "may_correct": mail.audience is not Audience.EXPERT and mail.channel is Channel.MAIL,
        "values": form.values if form else {"email": mail.recipient},
        "errors": form.errors if form else {},
        "zone": staff.time_zone,
    }
    return render(request, "staff/message_again.html", values, status=status)


def _filter(request: web.Request) -> Filter:
    show = request.query.get("show", "")
    number = request.query.get("number", "").strip()[:20]
    page = request.query.get("page", "")
    return Filter(
        show=show if show in {*MailState, OPENED, NOT_OPENED} else "",
        number=number,
        page=min(max(1, int(page)), MAX_PAGE) if page.isascii() and page.isdigit() and len(page) < 10 else 1,
        wrong_number=bool(number) and read_number(number) is None,
    )


async def _require_reader(request: web.Request) -> Staff:
    staff = await require_staff(request)
    if not may(staff.role, Action.READ_MESSAGES):
        raise NotAllowed("messages")
    return staff


async def _require_sender(request: web.Request) -> Staff:
    staff = await require_staff(request)
    if not may(staff.role, Action.ISSUE_LINK):
        raise NotAllowed("messages")
    return staff
