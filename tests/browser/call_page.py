"""A call that is due now, and its two people in Chromium: for tests of the call page.

Owns the case with its records, the appointment and the sessions. Who presses what is the test's.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from PIL import Image, ImageDraw
from playwright.async_api import Browser, BrowserContext, Page

from consult.cases import service as cases
from consult.cases.model import AskedBy, NewPatient
from consult.db.pool import Pool
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.ids import AppointmentId
from consult.keys import POOL, STORE
from consult.people import service as people
from consult.records import service as records
from consult.records.model import Record, UploadedBy
from consult.scheduling import service as scheduling
from consult.storage import BlobStore
from tests.browser.chromium import FakeDevices, open_browsers, paint_camera
from tests.conftest import Server

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
LIMIT_MS = 30_000
WRITTEN_BYTES = 10_000  # more than a file's beginning: half a second of small pictures


# Lets a test cut the line as a network does, and count the media connections that a page made.
WATCH = """
  window.lines = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) { super(...given); window.lines.push(this); }
  };
  window.mediaConnections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) { super(...given); window.mediaConnections.push(this); }
  };
"""
PRESS_NEXT = """() => {
  const pressed_ms = performance.timeOrigin + performance.now();
  document.querySelector("[data-view=next]").click();
  return pressed_ms;
}"""
TURNED_MS = """(page) => new Promise((done) => {
  const stage = document.querySelector(".stage");
  const look = () => stage.dataset.page === String(page)
    ? done(performance.timeOrigin + performance.now()) : requestAnimationFrame(look);
  look();
})"""
INSIDE = "body[data-phase=inside]"
BLUE, ORANGE, GREEN = (40, 70, 190), (230, 140, 40), (40, 150, 70)
OTHER = ".tile:not(.is-me)"


Prepare = Callable[[BrowserContext], Awaitable[None]]


class Place(Protocol):
    """Where Consult answers: without a slash at its end."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Arranged:
    """A booked call. pdf has five pages; picture is a PNG."""

    appointment_id: str
    case_id: int
    scheduler_token: str
    expert_token: str
    visit_token: str
    link_secret: str
    pdf: Record
    picture: Record


async def arrange_call(server: Server) -> Arranged:
    return await arrange_in(server.app[POOL], server.app[STORE])


async def arrange_in(pool: Pool, store: BlobStore) -> Arranged:
    now = utc_now()
    async with pool.acquire() as conn:
        scheduler = await people.create_staff(
            conn, email="noor@clinic.example", name="Noor Aziz", role=StaffRole.SCHEDULER, time_zone="Europe/Lisbon",
            password="a long password for tests", now=now,
        )  # fmt: skip
        expert = await people.create_staff(
            conn, email="helen@clinic.example", name="Dr Helen Okafor", role=StaffRole.EXPERT,
            time_zone="Europe/Lisbon", password="a long password for tests", specialty="Thoracic tumours", now=now,
        )  # fmt: skip
        case_id = await cases.open_case(
            conn, NewPatient(name="Ana Ruiz", email="ana@example.org", born_on=None, language="en"),
            diagnosis="Nodule in the right lung", first_question="Is surgery possible for me?",
            opened_by=scheduler, now=now,
        )  # fmt: skip
        for question in ("Is the spot growing?", "Can I travel in June?"):
            await cases.ask_question(conn, case_id, question, AskedBy.PATIENT, now)
        appointment, link = await scheduling.book(
            conn, case_id, expert, now + timedelta(minutes=1), booked_by=scheduler, now=now, outside_hours=True
        )
        pdf = await records.add_record(
            conn,
            store,
            case_id,
            file_name="CT report.pdf",
            chunks=_chunks(draw_pdf(5)),
            uploaded_by=UploadedBy.STAFF,
            now=now,
        )
        picture = await records.add_record(
            conn,
            store,
            case_id,
            file_name="Chest.png",
            chunks=_chunks(draw_picture()),
            uploaded_by=UploadedBy.STAFF,
            now=now,
        )
        expert_token = await people.start_session(conn, expert, now)
    async with pool.acquire() as conn:
        visit = await scheduling.open_invitation(conn, now=now, secret=link.secret)
        scheduler_token = await people.start_session(conn, scheduler, now)
    return Arranged(str(appointment.id), case_id, scheduler_token, expert_token, visit.token, link.secret, pdf, picture)


async def open_link_again(pool: Pool, call: Arranged) -> Arranged:
    """The patient opens the same link on another device."""
    async with pool.acquire() as conn:
        visit = await scheduling.open_invitation(conn, now=utc_now(), secret=call.link_secret)
    return replace(call, visit_token=visit.token)


async def invite(pool: Pool, call: Arranged, name: str, role: str) -> Arranged:
    """The call as somebody else comes to it, by a link of their own."""
    async with pool.acquire() as conn:
        link = await scheduling.invite_guest(
            conn, AppointmentId(UUID(call.appointment_id)), name=name, role=role, now=utc_now()
        )
        visit = await scheduling.open_invitation(conn, now=utc_now(), secret=link.secret)
    return replace(call, visit_token=visit.token)


def draw_pdf(page_count: int) -> bytes:
    """A PDF whose pages differ, so that a wrong one is seen."""
    pages = []
    for number in range(1, page_count + 1):
        page = Image.new("RGB", (620, 877), "white")
        pen = ImageDraw.Draw(page)
        pen.text((60, 60), f"CT chest, report, page {number}", fill="black", font_size=28)
        for line in range(14):
            pen.rectangle((60, 140 + line * 44, 520 - (line * 37 * number) % 160, 152 + line * 44), fill=(90, 90, 90))
        pen.ellipse((420, 700, 520, 800), outline=(170, 30, 30), width=6)
        pages.append(page)
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def draw_picture() -> bytes:
    picture = Image.new("L", (976, 824), 0)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((80, 60, 896, 760), fill=70, outline=180, width=14)
    pen.ellipse((180, 180, 440, 620), fill=12)
    pen.ellipse((540, 180, 800, 620), fill=12)
    pen.ellipse((240, 280, 320, 350), fill=170)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@asynccontextmanager
async def two_browsers(tmp_path: Path) -> AsyncIterator[tuple[Browser, Browser]]:
    """The expert's camera is blue, the patient's is orange."""
    async with browsers_of(tmp_path, BLUE, ORANGE) as (expert, patient):
        yield expert, patient


@asynccontextmanager
async def browsers_of(tmp_path: Path, *colours: tuple[int, int, int]) -> AsyncIterator[list[Browser]]:
    """A Chromium for each colour, which is what its cameras see."""
    cameras = [paint_camera(tmp_path / f"{number}.y4m", colour) for number, colour in enumerate(colours)]
    async with open_browsers(*(FakeDevices(camera=camera) for camera in cameras)) as browsers:
        yield browsers


async def open_expert(
    browser: Browser, server: Place, call: Arranged, viewport: dict[str, int] = DESKTOP, prepare: Prepare | None = None
) -> Page:
    """prepare: what is done to the browser's context before the page is opened."""
    context = await _context(browser, server, "consult_staff", call.expert_token, viewport)
    if prepare is not None:
        await prepare(context)
    page = await context.new_page()
    await page.goto(f"{server.url}/appointments/{call.appointment_id}/call")
    return page


async def open_patient(
    browser: Browser, server: Place, call: Arranged, viewport: dict[str, int] = DESKTOP, prepare: Prepare | None = None
) -> Page:
    context = await _context(browser, server, "consult_visit", call.visit_token, viewport)
    if prepare is not None:
        await prepare(context)
    page = await context.new_page()
    await page.goto(f"{server.url}/visit/call")
    return page


async def let_in(expert: Page, *others: Page) -> None:
    """Admit whoever waits; return when everybody sees somebody else."""
    for other in others:
        await expert.click("[data-knock=admit]")
        await other.wait_for_selector(INSIDE)
    for page in (expert, *others):
        await page.wait_for_selector(f"{OTHER}.has-picture")


async def agree(*pages: Page) -> None:
    """Everybody says yes; return when the recording is on everywhere."""
    for page in pages:
        await page.click("[data-consent=yes]")
    for page in pages:
        await page.wait_for_selector(".room[data-recording-state=on]")


async def until_recorded(spool: Path, count: int) -> None:
    """Return when something of so many recordings is written."""
    async with asyncio.timeout(LIMIT_MS / 1000):
        while len([path for path in spool.glob("*/*.webm") if path.stat().st_size > WRITTEN_BYTES]) < count:
            await asyncio.sleep(0.1)


async def turn_page(expert: Page, patient: Page, number: int) -> float:
    """Turn to the page from the one before it; return the ms until the patient's screen has drawn it."""
    await patient.evaluate(f"page => {{ window.turned = ({TURNED_MS})(page); }}", number)
    pressed_ms = await expert.evaluate(PRESS_NEXT)
    turned_ms: float = await patient.evaluate("() => window.turned")
    await expert.wait_for_timeout(400)
    return turned_ms - float(pressed_ms)


async def write_in_chat(page: Page, text: str) -> None:
    if not await page.is_visible("#chat-text"):
        await page.click("[data-control=chat]")
    await page.fill("#chat-text", text)
    await page.press("#chat-text", "Enter")


async def read_chat(page: Page) -> list[str]:
    return [text.strip() for text in await page.locator("[data-chat-lines] .chat-text").all_text_contents()]


async def _context(
    browser: Browser, server: Place, cookie: str, value: str, viewport: dict[str, int]
) -> BrowserContext:
    context = await browser.new_context(viewport={"width": viewport["width"], "height": viewport["height"]})
    context.set_default_timeout(LIMIT_MS)
    await context.grant_permissions(["camera", "microphone"])
    await context.add_init_script(WATCH)
    await context.add_cookies([{"name": cookie, "value": value, "url": server.url}])
    return context


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data
