"""A patient who reads Spanish: from the link to the waiting room on a phone, without an English sentence anywhere."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling.model import IssuedLink
from scripts.extract_words import TOP, read_catalogue
from tests.browser.call_page import DESKTOP, PHONE, agree, arrange_call, let_in, open_expert, open_patient, two_browsers
from tests.browser.chromium import find_accessibility_faults, open_browser
from tests.browser.looks import open_quiet_page
from tests.browser.patient_walk import walk_to_waiting_room
from tests.conftest import Server
from tests.integration.clinic import book_one, open_clinic

PLACEHOLDER = re.compile(r"%\\\(\w+\\\)[sd]|\\\{\w+\\\}")
ENOUGH_TO_BE_SURE = 4  # words: a shorter sentence has to be all that an element says

# Every piece of text and every name of the page, hidden parts too: the room is in the lobby's page already.
READ_PAGE = """() => {
  const said = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const holder = walk.currentNode.parentElement;
    if (!holder.closest('script, style, noscript, [lang="en"]')) said.push(walk.currentNode.textContent);
  }
  for (const one of document.querySelectorAll('[aria-label], [placeholder], [title], [alt]')) {
    for (const name of ['aria-label', 'placeholder', 'title', 'alt']) said.push(one.getAttribute(name) ?? '');
  }
  return [document.title, ...said].map((one) => one.replace(/\\s+/g, ' ').trim()).filter(Boolean);
}"""

# Words wider than their box, and controls that reach past the screen's edge.
FIND_CUT = """() => [...document.querySelectorAll('body *')].filter((one) => {
  if (!one.checkVisibility() || one.matches('.out-of-sight, .skip, input, textarea, select')) return false;
  const says = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  if (says && one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1) return true;
  return one.matches('button, a') && one.getBoundingClientRect().right > innerWidth + 1;
}).map((one) => one.textContent.trim())"""


def english_sentences() -> tuple[list[re.Pattern[str]], set[str]]:
    """What tells English in the middle of a text, and what does so only as the whole of it."""
    catalogue = read_catalogue(TOP / "locale" / "es" / "LC_MESSAGES" / "consult.po")
    pairs = [(one.id, one.string) for one in catalogue if isinstance(one.id, str) and isinstance(one.string, str)]
    pairs += [(form, "") for one in catalogue if isinstance(one.id, tuple) for form in one.id]
    spanish = {said for _, said in pairs}
    english = {said for said, _ in pairs if said and said not in spanish}
    parts = {part for said in english for part in re.split(r"</?\w+>", said) if part.strip()}
    long = [part.strip() for part in parts if len(re.findall(r"[a-z']{2,}", part, re.I)) >= ENOUGH_TO_BE_SURE]
    return [re.compile(PLACEHOLDER.sub(".+?", re.escape(one))) for one in long], english


LONG, WHOLE = english_sentences()


def in_spanish(sentence: str) -> str:
    """Return what stands in the catalogue for an English sentence."""
    message = read_catalogue(TOP / "locale" / "es" / "LC_MESSAGES" / "consult.po")[sentence]
    assert message.string, sentence
    return str(message.string)


async def check_spanish(page: Page) -> None:
    """The page says so itself, says nothing in English, fits a narrow phone, and axe finds nothing."""
    assert await page.locator("html").get_attribute("lang") == "es"
    said: list[str] = await page.evaluate(READ_PAGE)
    assert [one for one in said if one in WHOLE or any(sentence.search(one) for sentence in LONG)] == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    cut = await page.evaluate(FIND_CUT)
    assert cut == [], page.url
    assert await find_accessibility_faults(page) == []


@pytest.fixture
async def link(server: Server) -> IssuedLink:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        # Within half an hour of the appointment, so that the waiting room is open.
        _, issued = await book_one(conn, await open_clinic(conn, now=now), now + timedelta(minutes=20), now=now)
    return issued


@pytest.mark.parametrize("width", [360, 1280])
async def test_a_patient_switches_to_spanish_and_reads_no_english_until_the_waiting_room(
    server: Server, link: IssuedLink, tmp_path: Path, width: int
) -> None:
    async with open_browser() as browser, open_quiet_page(browser, width) as page:
        await page.goto(link.url(server.url))
        await page.get_by_role("button", name="Español").click()
        await expect(page.get_by_role("heading", name="Le damos la bienvenida a su videoconsulta")).to_be_visible()
        await check_spanish(page)
        await walk_to_waiting_room(page, tmp_path, check=check_spanish, say=in_spanish, city="Lisboa")
        await expect(page.get_by_text("Nadie le ve ni le oye hasta que su especialista le haga pasar.")).to_be_visible()


async def test_a_wrong_code_and_a_closed_link_are_explained_in_spanish(server: Server) -> None:
    async with open_browser() as browser, open_quiet_page(browser, locale="es-ES") as page:
        await page.goto(f"{server.url}/join#{'A' * 43}")
        await page.get_by_role("button", name="Entrar").click()
        await expect(page.get_by_role("heading", name="Este enlace ya no se abre.")).to_be_focused()
        await check_spanish(page)
        await page.get_by_label("Número de su cita o su correo electrónico").fill("ana@example.org")
        await page.get_by_role("button", name="Enviarme un enlace nuevo").click()
        await expect(page.get_by_role("heading", name="Mire su correo.")).to_be_visible()
        await check_spanish(page)


@pytest.mark.real_time
@pytest.mark.timeout(240)  # two Chromium processes on a busy machine
async def test_the_call_is_held_in_spanish_on_both_sides(server: Server, tmp_path: Path) -> None:
    call = await arrange_call(server)
    async with two_browsers(tmp_path) as (expert_browser, patient_browser):
        expert = await open_expert(expert_browser, server, call, DESKTOP)
        patient = await open_patient(patient_browser, server, call, PHONE)
        for page in (expert, patient):
            await page.context.add_cookies([{"name": "language", "value": "es", "url": server.url}])
            await page.reload()
        await let_in(expert, patient)
        await expect(patient.get_by_text("¿Podemos grabar esta consulta?").first).to_be_visible()
        await check_spanish(patient)
        await agree(patient, expert)
        await expect(patient.locator("[data-recording-word]")).to_have_text("Grabación")
        await expert.click("[data-control=records]")
        await check_spanish(expert)
        await expert.click(f'[data-record-id="{call.pdf.id}"]')
        await expect(patient.get_by_text("Página 1 de 5").first).to_be_visible()
        await check_spanish(patient)
        await check_spanish(expert)


async def test_a_scheduler_reads_every_page_in_spanish(server: Server) -> None:
    call = await arrange_call(server)
    pages = (
        "/board", "/cases", "/cases/new", f"/cases/{call.case_id}", f"/cases/{call.case_id}/book",
        f"/cases/{call.case_id}/experts", f"/cases/{call.case_id}/profile", "/conditions",
        f"/appointments/{call.appointment_id}", f"/appointments/{call.appointment_id}/cancel", "/experts", "/messages",
    )  # fmt: skip
    async with open_browser() as browser, open_quiet_page(browser, 1280, locale="es-ES") as page:
        await page.goto(f"{server.url}/sign-in")
        await check_spanish(page)
        await page.context.add_cookies([{"name": "language", "value": "es", "url": server.url}])
        await page.get_by_label("Correo electrónico").fill("noor@clinic.example")
        await page.get_by_label("Contraseña").fill("a long password for tests")
        await page.get_by_role("button", name="Iniciar sesión").click()
        await page.wait_for_url("**/board")
        for path in pages:
            answer = await page.goto(f"{server.url}{path}")
            assert answer is not None and answer.ok, path
            await check_spanish(page)
