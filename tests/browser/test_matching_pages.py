"""The pages of matching in a real Chromium: empty and full, phone and desktop, light and dark, and by keyboard."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import pytest
from playwright.async_api import expect

from consult.availability import service as availability
from consult.domain.access import StaffRole
from consult.domain.clock import utc_now
from consult.domain.working_days import WorkingBlock
from consult.keys import POOL
from consult.matching import service as matching
from consult.people import service as people
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look
from tests.browser.test_staff_pages import LONG_NAME, open_staff_page
from tests.conftest import Server
from tests.integration.clinic import PASSWORD, Clinic, open_clinic

LUNG = "lung-cancer-non-small-cell"
EVERY_DAY = [WorkingBlock(weekday, time(0), time(23, 59)) for weekday in range(7)]


async def set_profile(conn: Any, clinic: Clinic, expert: Any, now: datetime, **more: Any) -> None:
    known: dict[str, Any] = {
        "conditions": [LUNG, "mesothelioma"], "specialties": ["thoracic-oncology"], "languages": ["en", "pt"],
        "licences": ["PT", "GB"], "new_cases_a_week": 2, "leads_panels": True,
    }  # fmt: skip
    await matching.set_profile(conn, expert, **(known | more), by=clinic.scheduler, now=now)


async def fill(server: Server, clinic: Clinic, now: datetime) -> None:
    """Every kind of answer on the list, long names, everything that a profile can hold, a choice with its note."""
    async with server.app[POOL].acquire() as conn:
        await matching.add_condition(
            conn, name="Pneumonoultramicroscopicsilicovolcanoconiosis " * 2 + "of miners", specialty="",
            new_specialty="Occupational medicine of the respiratory tract", icd10="J62", by=clinic.scheduler, now=now,
        )  # fmt: skip
        await matching.set_case_profile(
            conn, clinic.case, condition=LUNG, other_languages=["pt", "es", "yue", "zgh"], region="US",
            by=clinic.scheduler, now=now,
        )  # fmt: skip
        choices = await matching.list_conditions(conn)
        await availability.set_working_hours(conn, clinic.expert, EVERY_DAY)
        everything: dict[str, Any] = {
            "conditions": [one.code for one in choices], "specialties": {one.specialty.code for one in choices},
            "languages": ["en", "pt", "es", "de", "fr", "it", "ca", "eu", "gl", "ar", "yue", "zgh"],
            "licences": ["US-CA", "US-NY", "US-NC", "CA-NL", "PT", "ES", "GB", "VC", "GS", "CD", "BA", "MK"],
        }  # fmt: skip
        await set_profile(conn, clinic, clinic.expert, now, **everything)
        for number, more in enumerate(
            (
                {"licences": ["US"], "languages": ["es"]}, {"conditions": ["thymic-tumour"], "licences": []},
                {"conditions": ["stroke"], "specialties": []}, {"languages": ["de"], "new_cases_a_week": 0},
                {"languages": [], "new_cases_a_week": None},
            )
        ):  # fmt: skip
            expert = await people.create_staff(
                conn, email=f"e{number}@clinic.example", name=LONG_NAME if number == 0 else f"Dr Number {number}",
                role=StaffRole.EXPERT, time_zone="Asia/Kathmandu", password=PASSWORD, now=now,
                specialty="Thoracic surgery and the medicine of the pleura" if number == 0 else "",
            )  # fmt: skip
            await set_profile(conn, clinic, expert, now, **more)
            if number != 2:
                await availability.set_working_hours(conn, expert, EVERY_DAY)
        await matching.choose(
            conn, clinic.case, clinic.expert, note="Wanted by the patient. " * 20, by=clinic.scheduler, now=now
        )


@pytest.mark.timeout(360)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("is_full", [False, True], ids=["empty", "full"])
async def test_every_page_of_matching_can_be_read_by_everybody(server: Server, is_full: bool, width: int) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
    if is_full:
        await fill(server, clinic, now)
    case, profile = f"/cases/{clinic.case}", f"/experts/{clinic.expert}/profile"
    kind = "full" if is_full else "empty"
    async with open_browser() as browser:
        async with open_staff_page(browser, server, "noor@clinic.example", width) as page:
            narrowed = f"{case}/experts?only=soon&only=room"
            for path in (
                case,
                f"{case}/experts",
                narrowed,
                f"{case}/profile",
                profile,
                "/conditions",
                "/experts",
                "/cases",
            ):
                await page.goto(server.url + path)
                await check_look(page, f"matching {path} {kind}", small_targets="profile" in path)  # boxes have labels
            await page.goto(f"{server.url}{case}")
            for summary in await page.locator("summary").all():
                await summary.click()
            await check_look(page, f"matching {case} open {kind}")
            await page.goto(f"{server.url}/conditions")
            await page.get_by_role("button", name="Add to the list").click()
            await expect(page.get_by_role("alert")).to_be_visible()
            await check_look(page, f"matching conditions wrong {kind}")
        async with open_staff_page(browser, server, "brandt@clinic.example", width) as page:
            await page.goto(f"{server.url}{profile}")
            await page.get_by_label("New cases a week, at most").fill("99")
            await page.get_by_role("button", name="Save the profile").click()
            await expect(page.get_by_role("alert")).to_be_visible()
            await expect(page.get_by_label("New cases a week, at most")).to_have_value("99")
            await check_look(page, f"matching profile wrong {kind}", small_targets=True)


async def test_an_expert_is_described_found_and_chosen_by_keyboard_alone(server: Server) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=now)
        await availability.set_working_hours(conn, clinic.other_expert, EVERY_DAY)
    async with open_browser() as browser, open_staff_page(browser, server, "noor@clinic.example", DESKTOP) as page:
        press = page.keyboard.press
        await page.goto(f"{server.url}/experts/{clinic.other_expert}/profile")
        await page.locator("summary", has_text="Thoracic oncology").focus()
        await press("Enter")
        await page.get_by_label("Non-small-cell lung cancer").focus()
        await press("Space")
        language = page.get_by_label("Add a language", exact=True).first
        await language.focus()
        await page.keyboard.type("Portuguese")
        await press("Tab")
        await press("Enter")  # the button *Add*
        await expect(page.get_by_role("checkbox", name="Portuguese")).to_be_checked()
        await expect(page.get_by_label("Non-small-cell lung cancer")).to_be_checked()
        await page.get_by_label("New cases a week, at most").focus()
        await page.keyboard.type("4")
        await press("Enter")  # saves, although *Add* comes first in the form
        await expect(page.get_by_role("status")).to_contain_text("The profile is saved.")

        await page.goto(f"{server.url}/cases/{clinic.case}")
        await page.get_by_role("link", name="Choose an expert").focus()
        await press("Enter")
        await page.get_by_role("link", name="Change").focus()
        await press("Enter")
        await page.get_by_label("Condition").focus()
        await page.keyboard.type("Non-small")
        await press("Tab")
        await page.keyboard.type("Portugal")
        await page.get_by_role("button", name="Save and see who fits").focus()
        await press("Enter")
        first = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="1. Dr Helen Okafor"))
        await expect(first).to_contain_text("Reviews this condition: Non-small-cell lung cancer.")
        await page.get_by_role("link", name="Reviews the condition").focus()
        await press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("1 of 2 experts.")
        at = page.get_by_role("button", name="Choose Dr Helen Okafor and book").first
        when = str(await at.text_content()).strip().rpartition(", ")[2]
        await at.focus()
        await press("Enter")
        await expect(page.get_by_role("radio", checked=True)).to_have_count(1)
        assert when in str(await page.locator("li:has(input:checked) label").text_content())
        await page.goto(f"{server.url}/cases/{clinic.case}")
        await expect(page.locator(".case-next")).to_contain_text("Dr Helen Okafor is chosen.")
