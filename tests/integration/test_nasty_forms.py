"""Every form of scheduling, filled in but for one field that cannot be: a sentence answers, and nothing is lost.

The forms are read from the pages, so a new field is tried as soon as it stands in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.keys import POOL
from consult.scheduling import service as scheduling
from tests.conftest import Server
from tests.integration import pages
from tests.integration.clinic import Clinic, book_one, open_clinic
from tests.integration.forms import PageForm, forms_of, texts_of
from tests.integration.test_join import press_join

WORST = {
    "date": ("2027-02-29", "9999-12-31", "x" * 10_000),
    "time": ("25:00", "14:30+02:00", "9" * 50),
    "number": ("-1", "9" * 5000, "1e3"),
    "text": ("x" * 10_000, "a\x00b", "🩻" * 3000),
    "textarea": ("x" * 100_000,),
    "email": ("x" * 10_000,),
    "hidden": ("", "-5", "9" * 400),
    "select": ("no such answer", "0"),
    "radio": ("no such answer",),
}
TYPED = ("text", "textarea", "date", "time", "number", "email", "tel")
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
SENTENCE = re.compile(r'class="field-wrong"|role="alert"|class="notice|class="page error-page"')
APART = ("/sign-out", "/language")


@pytest.fixture
async def clinic(server: Server) -> Clinic:
    async with server.app[POOL].acquire() as conn:
        return await open_clinic(conn, now=utc_now())


def staff_pages(clinic: Clinic, appointment: object) -> list[str]:
    """The pages with forms, those at last that are other ones once a form of theirs was taken."""
    expert = [f"/experts/{clinic.expert}/{part}" for part in
              ("hours", "days", "absences", "travel", "rules", "kinds", "profile")]  # fmt: skip
    case = [f"/cases/{clinic.case}{part}" for part in ("/book", "/waiting", "/profile", "/experts", "")]
    other = ["/cases/new", "/conditions"]
    return expert + case + other + [f"/appointments/{appointment}{part}" for part in ("", "/move", "/cancel")]


PATIENT_PAGES = ("/visit/needs", "/visit/people", "/visit/records", "/visit/language", "/visit/cancel")


def worst_of(form: PageForm) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What to send, and its name: each field with what it cannot be, missing, and sent twice."""
    for name, kind in form.kinds.items():
        if name == "csrf":
            continue
        for value in WORST.get(kind, ()):
            yield f"{name}={value[:20]!r} ({len(value)})", form.with_value(name, value)
        yield f"{name} missing", form.without(name)
        if kind in TYPED:
            yield f"{name} twice", [*form.fields, (name, "\u202ex")]


def filled_in(form: PageForm) -> PageForm:
    """The form with something in each of its texts, which has to be there again."""
    form.fields = [
        (name, value or f"my {name}") if form.kinds[name] in ("text", "textarea") else (name, value)
        for name, value in form.fields
    ]
    return form


def lost_of(form: PageForm, sent: list[tuple[str, str]], answer: str) -> list[str]:
    """The fields whose text does not stand in the page that was sent back; of one that was sent twice, the last."""
    kept = {text.strip() for text in texts_of(answer)}
    last = dict(sent)
    return [
        name for name, value in last.items()
        if form.kinds.get(name) in TYPED and CONTROLS.sub("", value).strip() not in kept
    ]  # fmt: skip


async def try_page(client: aiohttp.ClientSession, page: str) -> tuple[list[str], int]:
    """Send each form of a page in each wrong way. Returns what went wrong, and how often something was refused."""
    failures, refused = [], 0
    async with client.get(page, allow_redirects=False) as answer:
        assert answer.status == 200, page
        forms = forms_of(await answer.text())
    tried = set()
    for form in map(filled_in, forms):
        likeness = tuple(form.kinds)
        if form.action in APART or likeness in tried or set(likeness) == {"csrf"}:
            continue
        tried.add(likeness)
        for what, sent in worst_of(form):
            async with client.post(form.action, data=aiohttp.FormData(sent), allow_redirects=False) as answer:
                text = await answer.text()
                name = f"{page}: {what} gave {answer.status}"
                if answer.status >= 500:
                    failures.append(name)
                elif answer.status >= 400:
                    refused += 1
                    if not SENTENCE.search(text):
                        failures.append(f"{name} without a sentence")
                    if lost := lost_of(form, sent, text):
                        failures.append(f"{name} and lost {lost}")
    return failures, refused


async def test_staff_read_what_is_wrong_and_find_everything_that_they_typed(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        booked, _link = await book_one(conn, clinic, now + timedelta(days=3), now=now)
    await pages.sign_in(client, "noor@clinic.example")
    failures, refused = [], 0
    for page in staff_pages(clinic, booked.id):
        found, count = await try_page(client, page)
        failures += found
        refused += count
    assert not failures, "\n".join(failures)
    assert refused > 200
    async with server.app[POOL].acquire() as conn:
        after = (await scheduling.fetch_appointment(conn, booked.id)).appointment
    assert after.slot == booked.slot, "none of it was a time to move to"


async def test_patients_read_what_is_wrong_and_find_everything_that_they_typed(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic
) -> None:
    now = utc_now()
    async with server.app[POOL].acquire() as conn:
        _booked, link = await book_one(conn, clinic, now + timedelta(days=3), now=now)
    assert (await press_join(client, secret=link.secret))[0] == 200
    failures, refused = [], 0
    for page in PATIENT_PAGES:
        found, count = await try_page(client, page)
        failures += found
        refused += count
    assert not failures, "\n".join(failures)
    assert refused > 10


@pytest.mark.parametrize("column", ["starts", "ends", "weekday"])
async def test_hours_of_which_a_column_did_not_arrive_are_asked_for_and_not_forgotten(
    client: aiohttp.ClientSession, clinic: Clinic, column: str
) -> None:
    await pages.sign_in(client, "noor@clinic.example")
    page = f"/experts/{clinic.expert}/hours"
    (form,) = [one for one in forms_of(await pages.read(client, page)) if one.action == page]
    async with client.post(page, data=aiohttp.FormData(form.without(column))) as answer:
        assert answer.status == 422
        assert "Enter a start and an end" in await answer.text()
    assert (await pages.read(client, page)).count('value="09:00"') == 5


async def test_a_name_cannot_turn_the_letters_around_it(
    server: Server, client: aiohttp.ClientSession, clinic: Clinic
) -> None:
    await pages.sign_in(client, "noor@clinic.example")
    name = "\u202eAna\u2066 Ribeiro, \u05d9\u05e2\u05dc\u200f"
    status, _text, where = await pages.send(client, "/cases/new", {"name": name, "language": "en", "diagnosis": "A"})
    assert status == 303
    page = await pages.read(client, where)
    assert "Ana Ribeiro, \u05d9\u05e2\u05dc\u200f" in page, "a mark that keeps to itself stays"
    assert "\u202e" not in page and "\u2066" not in page
