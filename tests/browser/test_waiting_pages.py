"""The page of an offered time and the wait list in a real Chromium: phone and desktop, by keyboard, in Spanish."""

from __future__ import annotations

from datetime import date, time

import pytest
from playwright.async_api import Page, expect

from consult.domain.clock import utc_now
from consult.domain.ids import StaffId
from consult.domain.kinds import ConsultationKind
from consult.keys import POOL
from consult.scheduling import service as scheduling
from consult.waiting import service as waiting
from consult.waiting.model import Wishes
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look, open_quiet_page
from tests.browser.people import sign_in
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, open_case, open_clinic
from tests.integration.waiters import USUAL, Told, free_slots, put_on_list

LONG_NAME = "María-Fernanda Konstantinopoulou-Wolfeschlegelsteinhausenbergerdorff de la Santísima Trinidad"


async def offer_a_time(server: Server, *, earlier: bool = False, language: str = "en") -> str:
    """Return the secret of an offer to somebody who has a time already, or none."""
    now, told = utc_now(), Told()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        case = await open_case(conn, clinic.scheduler, name="Ana Ribeiro", language=language, now=now)
        slots = await free_slots(conn, clinic.expert, now, days=12)
        held = None
        if earlier:
            held, _link = await scheduling.book(
                conn, case, clinic.expert, slots[-1].starts_at, booked_by=clinic.scheduler, now=now
            )
        await put_on_list(conn, clinic, "", case_id=case, appointment_id=held.id if held else None, now=now)
        (made,) = await waiting.offer_freed(conn, clinic.expert, slots[-6], usual=USUAL, now=now, tell=told)
        return await told.secret_of(conn, made, now)


async def fill_list(server: Server) -> None:
    """Twelve who wait: urgent, set aside, with an offer, with long names, for a panel, without an address."""
    now, told = utc_now(), Told()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        slots = await free_slots(conn, clinic.expert, now, days=12)
        wishes = [
            Wishes(),
            Wishes(kind=ConsultationKind.FOLLOW_UP, expert_ids=(clinic.expert, clinic.other_expert)),
            Wishes(kind=ConsultationKind.PANEL, expert_ids=(clinic.expert, clinic.other_expert)),
            Wishes(day_from=date(2031, 5, 1), day_to=date(2031, 6, 1), weekdays=frozenset({0, 1, 2}),
                   time_from=time(8), time_to=time(11, 30)),
        ]  # fmt: skip
        for number in range(12):
            name = LONG_NAME if number % 5 == 1 else f"Person Number {number}"
            case = await open_case(conn, clinic.scheduler, name=name, email="" if number % 4 == 3 else "a@b.example",
                                   now=now)  # fmt: skip
            await waiting.add(
                conn, case, wishes[number % 4], note="Comes by bus. " * (number % 3 * 8), is_urgent=number in (2, 5),
                added_by=StaffId(clinic.scheduler), now=now,
            )  # fmt: skip
        await waiting.offer_freed(conn, clinic.expert, slots[-1], usual=USUAL, now=now, tell=told)
        await waiting.offer_freed(conn, clinic.expert, slots[-4], usual=USUAL, now=now, tell=told)
        await conn.execute(
            "update wait_entries set unanswered = 3, set_aside_at = $1 where position = (select max(position) from"
            " wait_entries)", now,
        )  # fmt: skip


async def press(page: Page, name: str) -> None:
    """Tab to the control of that name, as somebody without a mouse does, and press it. Its ring is visible."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        words = await page.evaluate("() => (document.activeElement.textContent ?? '').replace(/\\s+/g, ' ').trim()")
        if words == name:
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            await page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not reach {name}")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_an_earlier_time_is_looked_at_and_taken(server: Server, width: int) -> None:
    secret = await offer_a_time(server, earlier=True)
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/offer")
        await check_look(page, "offer paste")
        await page.goto(f"{server.url}/offer#{secret}")
        await page.wait_for_url(f"{server.url}/offer", timeout=5000)  # the secret leaves the address bar at once
        await expect(page.get_by_role("heading", level=1)).to_have_text("A time has become free for you")
        await check_look(page, "offer door")
        await page.reload()  # it is still known in this tab
        await page.get_by_role("button", name="Show me the time").click()
        await expect(page.get_by_text("Lisbon time")).to_be_visible()  # the browser's zone, not the expert's
        await expect(page.get_by_text("You would give up")).to_be_visible()
        await check_look(page, "offer open")
        await page.get_by_role("button", name="Take this time").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This time is yours.")
        await check_look(page, "offer taken")
        assert secret not in await page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")
        await page.get_by_role("link", name="Prepare for the call").click()
        await expect(page.get_by_role("button", name="Join")).to_be_visible()
        await page.goto(f"{server.url}/offer#{secret}")
        await page.get_by_role("button", name="Show me the time").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This time is no longer kept.")
        await check_look(page, "offer closed")


async def test_by_keyboard_alone_somebody_says_no(server: Server) -> None:
    secret = await offer_a_time(server)
    async with open_browser() as browser, open_quiet_page(browser) as page:
        await page.goto(f"{server.url}/offer#{secret}")
        await press(page, "Go to the content")  # a place in the page, and not another link's secret
        await press(page, "Show me the time")
        await page.get_by_role("button", name="No, thank you").wait_for()
        await press(page, "No, thank you")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Thank you for telling us.")
        await check_look(page, "offer declined")


async def test_without_scripts_the_link_is_pasted(server: Server) -> None:
    secret = await offer_a_time(server)
    async with open_browser() as browser, open_quiet_page(browser, java_script_enabled=False) as page:
        await page.goto(f"{server.url}/offer#{secret}")
        await page.get_by_label("The link from our mail").fill(f"{server.url}/offer#{secret}")
        await page.get_by_role("button", name="Show me the time").click()
        await page.get_by_role("button", name="Take me off the list").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are off the list.")


async def test_the_offer_speaks_spanish(server: Server) -> None:
    secret = await offer_a_time(server, earlier=True, language="es")
    async with open_browser() as browser, open_quiet_page(browser, locale="es-ES") as page:
        await page.goto(f"{server.url}/offer#{secret}")
        await page.get_by_role("button", name="Ver el horario").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("¿Le conviene este horario?")
        await check_look(page, "offer open es")
        await page.get_by_role("button", name="Aceptar este horario").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Este horario es suyo.")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_the_wait_list_can_be_read_by_everybody(server: Server, width: int) -> None:
    await fill_list(server)
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/waiting")
        await check_look(page, "waiting full", small_targets=True)
        first = page.locator(".wait-line").first
        await expect(first).to_contain_text("Urgent")
        await expect(page.locator(".wait-line").nth(1)).to_contain_text("Offered now:")
        await first.get_by_role("link", name="Change").click()
        await check_look(page, "waiting entry", small_targets=True)
        await page.get_by_label("First day").fill("2031-05-02")
        await page.get_by_label("Last day").fill("2031-05-01")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_label("Last day")).to_have_value("2031-05-01")
        await check_look(page, "waiting entry wrong", small_targets=True)
        await page.goto(f"{server.url}/waiting")
        for remove in range(12):
            await page.locator(".wait-line").first.get_by_role("button", name="Remove").click()
            await expect(page.locator(".wait-line")).to_have_count(11 - remove)
        await check_look(page, "waiting empty", small_targets=True)


async def test_the_list_is_ordered_by_keyboard(server: Server) -> None:
    await fill_list(server)
    async with open_browser() as browser, open_quiet_page(browser, DESKTOP) as page:
        await page.goto(f"{server.url}/sign-in")
        await sign_in(page, "noor@clinic.example", PASSWORD)
        await page.goto(f"{server.url}/waiting")
        names = page.locator(".wait-who > p:first-child b")
        before = await names.all_inner_texts()
        await press(page, f"Down: {before[0]}")
        await expect(names.first).to_have_text(before[1])
        assert (await names.all_inner_texts())[:2] == [before[1], before[0]]
