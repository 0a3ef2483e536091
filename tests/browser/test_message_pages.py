"""The pages of messages and of an expert's calendar in a real Chromium, in every state and by keyboard."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import expect

from consult.domain.clock import utc_now
from consult.files import folder
from consult.keys import POOL
from consult.notices import service as notices
from consult.scheduling import service as scheduling
from consult.web.words import load_languages
from tests.browser.chromium import open_browser
from tests.browser.looks import DESKTOP, PHONE, check_look
from tests.browser.test_staff_pages import open_staff_page
from tests.conftest import Server
from tests.integration.clinic import Clinic, book_one, open_clinic

LONG_ADDRESS = (
    "maria.fernanda.konstantinopoulou.wolfeschlegelsteinhausenbergerdorff@a-very-long-clinic-name.example.org"
)
LANGUAGES = load_languages(folder("locale"), ("en", "es"))


async def fill(server: Server, clinic: Clinic) -> None:
    """Messages of every kind and in every state."""
    now = utc_now()
    pool = server.app[POOL]
    async with pool.acquire() as conn:
        for number in range(4):
            booked, link = await book_one(conn, clinic, now + timedelta(days=5 + number), now=now)
            await notices.queue_invitation(conn, booked.id, now)
            if number == 0:
                await scheduling.open_invitation(conn, secret=link.secret, now=now)
        await conn.execute("update mails set recipient = $1 where audience = 'patient'", LONG_ADDRESS)
    sender = notices.MailSender(pool, server.settings, LANGUAGES)
    for row in await pool.fetch("select id from mails"):
        await sender({"mail_id": str(row["id"])})
    kinds = ["new_link", "change", "cancellation", "reminder_day", "reminder_hour", "records_missing"]
    insert = """insert into mails (id, appointment_id, kind, recipient, queued_at, channel)
                select gen_random_uuid(), id, $1, 'ana@example.org', $2, $3 from appointments order by number limit 1"""
    for number, kind in enumerate(kinds * 9):
        await pool.execute(insert, kind, now - timedelta(minutes=number), "webhook" if number % 7 == 6 else "mail")
    await pool.execute("update mails set again_by = (select min(id) from staff) where kind = 'reminder_hour'")
    for state, fields in (
        ("new_link", "failed_at = now(), failure = 'SMTPAuthenticationError', tries = 2"),
        ("records_missing", "failed_at = now(), failure = '503', tries = 9, channel = 'webhook'"),
        ("change", "bounced_at = now(), bounce_status = '5.1.1'"),
        ("reminder_hour", "dropped_at = now(), failure = 'moved'"),
        ("reminder_day", "sent_at = now(), invitation_id = (select min(id::text)::uuid from invitations)"),
    ):
        await pool.execute(f"update mails set {fields} where kind = '{state}'")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_the_pages_of_messages_and_calendars_can_be_read_by_everybody(server: Server, width: int) -> None:
    async with server.app[POOL].acquire() as conn:
        clinic = await open_clinic(conn, now=utc_now())
    async with open_browser() as browser:
        async with open_staff_page(browser, server, "noor@clinic.example", width) as page:
            await page.goto(f"{server.url}/messages")
            await check_look(page, "messages empty", small_targets=True)
            await fill(server, clinic)
            for query in ("", "?page=2", "?show=bounced", "?number=x", "?number=77", "?show=dropped"):
                await page.goto(f"{server.url}/messages{query}")
                await check_look(page, f"messages {query}", small_targets=True)
            await page.goto(f"{server.url}/messages?show=bounced")
            again = page.get_by_role("link", name="Send again").first
            await again.focus()
            await page.keyboard.press("Enter")
            await page.get_by_label("E-mail address").fill("nonsense")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert")).to_be_visible()
            await expect(page.get_by_label("E-mail address")).to_have_value("nonsense")
            await check_look(page, "messages again wrong", small_targets=True)
            await page.get_by_label("E-mail address").fill("ana.r@example.org")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="Messages")).to_be_visible()
            await expect(page.get_by_text("ana.r@example.org").first).to_be_visible()
            await page.goto(f"{server.url}/cases/new")
            await check_look(page, "cases new with phone", small_targets=True)
        async with open_staff_page(browser, server, "brandt@clinic.example", width) as page:
            await page.goto(f"{server.url}/calendar")
            await check_look(page, "calendar none", small_targets=True)
            await page.get_by_role("button", name="Make an address").press("Enter")
            await expect(page.get_by_label("Address of your calendar")).to_be_visible()
            await check_look(page, "calendar made", small_targets=True)
            await page.get_by_role("button", name="Copy the address").press("Enter")
            await expect(page.get_by_role("status")).not_to_be_empty()
            await page.goto(f"{server.url}/calendar")
            await check_look(page, "calendar there", small_targets=True)
            await page.get_by_role("button", name="Withdraw it").press("Enter")
            await expect(page.get_by_role("button", name="Make an address")).to_be_visible()
