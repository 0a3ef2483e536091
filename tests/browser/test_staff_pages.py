"""The staff's pages in a real Chromium: empty and full, phone and desktop, light and dark, and booking by keyboard."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect

from consult.availability import service as availability
from consult.cases import service as cases
from consult.cases.model import AskedBy, NewPatient
from consult.domain.clock import utc_now
from consult.domain.ids import CaseId
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL, STORE
from consult.records import service as records
from consult.records.model import UploadedBy
from consult.scheduling import service as scheduling
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.people import sign_in
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, Clinic, open_clinic

LONG_NAME = "María-Fernanda Konstantinopoulou-Wolfeschlegelsteinhausenbergerdorff de la Santísima Trinidad"
LONG_ADDRESS = f"{'a.very.long.name.' * 3}somebody@{'a-very-long-name-of-a-clinic.' * 3}example.org"
LONG_DIAGNOSIS = (
    "Adenocarcinoma of the right upper lobe, cT3 cN2 cM0 (stage IIIB), EGFR exon 19 deletion, PD-L1 70 %, after four "
    "cycles of cisplatin/pemetrexed with partial response, Pneumonoultramicroscopicsilicovolcanoconiosis in the history"
)
INSERT_RECORD = """
insert into records (id, case_id, title, media_type, size_bytes, sha256, page_count, width_px, height_px, blob_key,
                     uploaded_by, uploaded_at)
select gen_random_uuid(), case_id, $2, media_type, size_bytes, sha256, page_count, width_px, height_px, $3, 'staff',
       uploaded_at
from records where id = $1
"""


@dataclass(frozen=True, slots=True)
class Full:
    clinic: Clinic
    appointment: uuid.UUID


async def fill(server: Server, clinic: Clinic, now: datetime) -> Full:
    """A day of 30 calls, a case of 40 questions and 25 records, names and diagnoses as long as they come."""
    out = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(out, "PNG")

    async def chunks() -> AsyncIterator[bytes]:
        yield out.getvalue()

    async with server.app[POOL].acquire() as conn:
        case = await cases.open_case(
            conn, NewPatient(LONG_NAME, "ana@example.org", None, "en"), diagnosis=LONG_DIAGNOSIS, plan="Plan. " * 200,
            history="History. " * 300, referring_physician=LONG_NAME[:100], opened_by=clinic.scheduler, now=now,
        )  # fmt: skip
        for number in range(40):
            await cases.ask_question(conn, case, f"Question {number}: {LONG_DIAGNOSIS}", AskedBy.PATIENT, now)
        record = await records.add_record(
            conn, server.app[STORE], case, file_name="CT " + "x" * 100, chunks=chunks(), uploaded_by=UploadedBy.PATIENT,
            now=now,
        )  # fmt: skip
        for number in range(24):
            await conn.execute(INSERT_RECORD, record.id, f"Report {number}", f"k{number}")
        day = [WorkingBlock(weekday, time(0), time(23, 59)) for weekday in range(7)]
        await availability.set_working_hours(conn, clinic.other_expert, day)
        first = None
        for number in range(30):
            expert = (clinic.expert, clinic.other_expert)[number % 2]
            starts_at = now + timedelta(minutes=5 + number // 2 * 20)
            booked, _ = await scheduling.book(
                conn, case if number % 3 else clinic.case, expert, starts_at, timedelta(minutes=15),
                booked_by=clinic.scheduler, now=now, outside_hours=True,
            )  # fmt: skip
            first = first or booked
            if number == 0:
                await scheduling.invite_guest(
                    conn, booked.id, name=LONG_NAME, role="caregiver", email=LONG_ADDRESS, now=now
                )
    assert first is not None
    return Full(Clinic(clinic.scheduler, clinic.expert, clinic.other_expert, CaseId(case)), first.id)


@asynccontextmanager
async def open_staff_page(browser: Browser, server: Server, email: str, width: int) -> AsyncIterator[Page]:
    async with open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, email, PASSWORD)
        yield page


def scheduler_paths(clinic: Clinic, appointment: uuid.UUID | None) -> list[str]:
    paths = [
        "/board", "/board?day=2031-01-01", "/cases", "/cases?search=nobody", "/cases/new", f"/cases/{clinic.case}",
        f"/cases/{clinic.case}/book", "/experts", f"/experts/{clinic.expert}/hours", "/messages",
    ]  # fmt: skip
    if appointment:
        paths += [f"/appointments/{appointment}", f"/appointments/{appointment}/cancel"]
    return paths


@pytest.mark.timeout(360)  # some twenty pages, each looked at twice
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("is_full", [False, True], ids=["empty", "full"])
async def test_every_page_of_the_staff_can_be_read_by_everybody(server: Server, is_full: bool, width: int) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
    full = await fill(server, clinic, now) if is_full else Full(clinic, uuid.uuid4())
    async with open_browser() as browser:
        async with open_staff_page(browser, server, "noor@clinic.example", width) as page:
            for path in scheduler_paths(full.clinic, full.appointment if is_full else None):
                await page.goto(server.url + path)
                await check_look(page, path, small_targets=True)
            await page.goto(f"{server.url}/cases/new")
            await page.locator("#diagnosis").fill("x")
            await page.evaluate("document.querySelector('main form:has([name=diagnosis])').noValidate = true")
            await page.get_by_role("button", name="Open the case").click()
            await expect(page.get_by_role("alert")).to_be_visible()
            await expect(page.get_by_label("Diagnosis")).to_have_value("x")
            await check_look(page, "/cases/new wrong", small_targets=True)
        async with open_staff_page(browser, server, "brandt@clinic.example", width) as page:
            case = [f"/cases/{full.clinic.case}"] if is_full else []
            for path in ["/today", "/today?day=2031-01-01", "/cases", *case, f"/experts/{clinic.expert}/hours"]:
                await page.goto(server.url + path)
                await check_look(page, path + " expert", small_targets=True)


async def test_a_time_is_booked_and_a_guest_invited_by_keyboard_alone(server: Server) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        day = [WorkingBlock(weekday, time(0), time(23, 59)) for weekday in range(7)]
        await availability.set_working_hours(conn, clinic.other_expert, day)
    async with (
        open_browser() as browser,
        open_staff_page(browser, server, "noor@clinic.example", DESKTOP) as page,
    ):

        async def reach(name: str) -> None:
            """Tab to the control of that name, whose ring is visible."""
            for _ in range(120):
                await page.keyboard.press("Tab")
                words: str = await page.evaluate(
                    """() => { const one = document.activeElement;
                      return (one.ariaLabel ?? one.labels?.[0]?.innerText ?? one.innerText ?? '').trim() }"""
                )
                if words.startswith(name):
                    assert await page.evaluate(
                        """() => [document.activeElement, document.activeElement.closest('label'),
                            document.activeElement.nextElementSibling].some((one) => one
                              && getComputedStyle(one).outlineStyle !== 'none')"""
                    ), f"no ring around {name}"
                    return
            raise AssertionError(f"Tab does not reach {name}")

        await page.goto(f"{server.url}/cases/{clinic.case}")
        await reach("Book a time")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/book*")
        for _ in range(80):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.name === 'slot'"):
                break
        await page.keyboard.press("Space")
        await reach("Book this time")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/appointments/*")
        await expect(page.get_by_label("Link for Ana Ribeiro")).to_be_visible()

        await reach("Name")
        await page.keyboard.type("Rui Interpreter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("textbox", name="Link for Rui Interpreter")).to_be_visible()
        await expect(page.locator(".guests")).to_contain_text("has not opened the link yet")
        await reach("Withdraw the link of Rui Interpreter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nobody else is invited.")).to_be_visible()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_who_was_signed_out_while_writing_sends_it_after_signing_in(server: Server, width: int) -> None:
    async with server.app[POOL].acquire() as conn:
        await open_clinic(conn, now=utc_now())
    async with open_browser() as browser, open_staff_page(browser, server, "noor@clinic.example", width) as page:
        await page.goto(f"{server.url}/cases/new")
        await page.locator("#name").fill("Rui Martins")
        await page.locator("#diagnosis").fill("Nodule of the thyroid")
        await page.locator("#history").fill("First line.\n\nThird “line”.")
        async with server.app[POOL].acquire() as conn:
            await conn.execute("update staff_sessions set seen_at = now() - interval '16 minutes'")
        await page.get_by_role("button", name="Open the case").click()
        await page.get_by_text("What you wrote is kept.").wait_for()
        await check_look(page, "kept-sign-in")
        await page.get_by_label("E-mail").fill("noor@clinic.example")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="What you wrote is kept").wait_for()
        await check_look(page, "kept-send")
        await page.get_by_role("button", name="Send it now").click()
        await page.wait_for_url(re.compile(r"/cases/\d+$"))
        await expect(page.locator("h1")).to_contain_text("Rui Martins")
        await expect(page.get_by_text("Third “line”.")).to_be_visible()
