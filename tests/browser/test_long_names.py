"""Long names, panels and names of another direction on the staff's pages: every word can be read in its place."""

from __future__ import annotations

from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Locator, Page, expect

from consult.availability import service as availability
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.ids import CaseId, StaffId
from consult.domain.kinds import ConsultationKind
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.people import service as people
from consult.scheduling import service as scheduling
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.patient_walk import come_in
from tests.browser.people import sign_in
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, open_case, open_clinic

LONG_NAME = "María-Fernanda Konstantinopoulou-Wolfeschlegelsteinhausenbergerdorff de la Santísima Trinidad"
ARABIC = "محمد بن عبد الله"
ZONES = ("America/St_Johns", "Pacific/Kiritimati", "Asia/Kathmandu")

# What a box hides of its words: it may scroll down, and nothing lies beyond its sides or below it.
HIDDEN_ASIDE = "(box) => box.scrollWidth > box.clientWidth + 1 ? box.innerText : ''"
BEYOND = """(box) => { const all = box.getBoundingClientRect();
  return [...box.querySelectorAll('*')].filter((one) => !one.closest('.out-of-sight'))
    .filter((one) => { const its = one.getBoundingClientRect();
      return its.width && (its.left < all.left - 1 || its.right > all.right + 1); })
    .map((one) => one.outerHTML.slice(0, 120)); }"""


class House:
    """experts: two of the clinic, three with long names and distant zones, six more; case: of the longest name."""

    scheduler: StaffId
    experts: list[StaffId]
    case: CaseId
    arabic: CaseId


async def open_house(server: Server) -> House:
    now, house = utc_now(), House()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        house.scheduler = clinic.scheduler
        house.experts = [clinic.expert, clinic.other_expert]
        for number in range(9):
            expert = await people.create_staff(
                conn, email=f"e{number}@clinic.example", name=f"{LONG_NAME} {number}", role=StaffRole.EXPERT,
                time_zone=ZONES[number % 3], specialty="Neurochirurgische Onkologieschwerpunktsprechstunde",
                password=PASSWORD, now=now,
            )  # fmt: skip
            await availability.set_working_hours(conn, expert, [WorkingBlock(day, time(), time()) for day in range(7)])
            house.experts.append(expert)
        house.case = await open_case(conn, clinic.scheduler, name=LONG_NAME, now=now)
        house.arabic = await open_case(conn, clinic.scheduler, name=ARABIC, now=now)
        await conn.execute("update patients set time_zone = 'America/Los_Angeles'")
        noon = now.astimezone(ZoneInfo("Europe/Berlin")).replace(hour=12, minute=0, second=0, microsecond=0)
        await scheduling.book(
            conn, house.case, house.experts[2], noon + timedelta(days=7), timedelta(minutes=60),
            kind=ConsultationKind.PANEL, others=[house.experts[place] for place in (0, 1, 3, 4, 5)],
            booked_by=clinic.scheduler, now=now, outside_hours=True,
        )  # fmt: skip
        await scheduling.book(
            conn, house.case, house.experts[6], now + timedelta(minutes=65), timedelta(minutes=45),
            booked_by=clinic.scheduler, now=now, outside_hours=True,
        )  # fmt: skip
    return house


async def hidden(boxes: Locator, question: str) -> list[str]:
    return [found for box in await boxes.all() if (found := await box.evaluate(question))]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_long_names_stay_in_their_places(server: Server, width: int) -> None:
    house = await open_house(server)
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)

        await page.goto(f"{server.url}/cases")
        assert await hidden(page.locator(".case-line > *"), HIDDEN_ASIDE) == []
        await check_look(page, "long-cases")

        for path in (f"book?expert={house.experts[3]}", f"book?kind=panel&expert={house.experts[3]}", "waiting"):
            await page.goto(f"{server.url}/cases/{house.case}/{path}")
            assert await page.locator(".many").count() > 0
            assert await hidden(page.locator(".many"), HIDDEN_ASIDE) == [], path
            await check_look(page, f"long-{path.partition('?')[0]}", small_targets=True)

        await page.goto(f"{server.url}/board")
        await expect(page.locator(".need")).to_have_count(1)
        assert await hidden(page.locator(".needs"), BEYOND) == []
        assert await hidden(page.locator(".need-who"), HIDDEN_ASIDE) == []
        await check_look(page, "long-board", small_targets=True)

        day = (utc_now() + timedelta(days=7)).astimezone(ZoneInfo("Europe/Berlin")).date()
        await page.goto(f"{server.url}/board?view=week&day={day}")
        await the_panel_is_read(page)
        await check_look(page, "long-week", small_targets=True)


async def test_a_patient_reads_long_names_on_a_phone(server: Server) -> None:
    house, now = await open_house(server), utc_now()
    async with server.app[POOL].acquire() as conn:
        _booked, link = await scheduling.book(
            conn, house.case, house.experts[3], now + timedelta(days=3), timedelta(minutes=45),
            booked_by=house.scheduler, now=now, outside_hours=True,
        )  # fmt: skip
    async with open_browser() as browser, open_quiet_page(browser, PHONE) as page:
        await come_in(page, server, link)
        for part in ("when", "change", "cancel", "people"):
            await page.goto(f"{server.url}/visit/{part}")
            await expect(page.locator("main").get_by_text("Konstantinopoulou").first).to_be_visible()
            assert await hidden(page.locator("main"), BEYOND) == [], part
            assert await hidden(page.locator("main dd, main p"), HIDDEN_ASIDE) == [], part
            await check_look(page, f"long-visit-{part}")


async def the_panel_is_read(page: Page) -> None:
    """Its name has the card's width, and the faces of all six stay inside."""
    card = page.locator(".slot-panel > a:first-child")
    name, whole = await card.locator("b").bounding_box(), await card.bounding_box()
    assert name is not None and whole is not None
    assert name["width"] > 0.4 * whole["width"]
    assert await card.locator(".face").count() == 6
    assert await hidden(card, BEYOND) == []
    assert await hidden(card.locator("b"), HIDDEN_ASIDE) == []


async def test_times_of_others_stand_apart_and_with_their_day(server: Server) -> None:
    house = await open_house(server)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        day = (utc_now() + timedelta(days=3)).date()
        await page.goto(f"{server.url}/cases/{house.case}/book?expert={house.experts[3]}&day={day}")
        lines = (await page.locator(".book-slots label").first.inner_text()).split("\n")
        assert [line.rpartition(" for ")[2] for line in lines[1:]] == ["you", "the patient"], "a line for each"
        before = f"{day - timedelta(days=1):%a} {(day - timedelta(days=1)).day} "
        assert lines[0].startswith("00:00") and all(line.startswith(before) for line in lines[1:]), (
            "it is the day before"
        )


async def test_an_age_is_no_part_of_a_name_that_is_read_from_the_right(server: Server) -> None:
    house = await open_house(server)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/cases/{house.arabic}")
        name = await page.locator("h1 bdi").bounding_box()
        age = await page.locator("h1 span").bounding_box()
        assert name is not None and age is not None
        assert age["x"] > name["x"] + name["width"], "the age follows the name"
