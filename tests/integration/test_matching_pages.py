"""The pages of matching, read as a browser without scripts reads them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import aiohttp
import pytest

from consult.domain.clock import utc_now
from consult.matching import service as matching
from tests.conftest import Database, Server
from tests.integration.clinic import Clinic, open_clinic
from tests.integration.pages import read, send, sign_in

LUNG, GLIOMA = "lung-cancer-non-small-cell", "low-grade-glioma"
PROFILE = [
    ("conditions", LUNG), ("conditions", "mesothelioma"), ("specialties", "thoracic-oncology"), ("languages", "en"),
    ("languages", "de"), ("licences", "PT"), ("licences", "US-CA"), ("new_cases_a_week", "3"), ("leads_panels", "1"),
]  # fmt: skip


@pytest.fixture
async def clinic(server: Server, database: Database) -> Clinic:
    async with database.pool.acquire() as conn:
        return await open_clinic(conn, now=utc_now())


@pytest.fixture
async def scheduler(clinic: Clinic, client: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientSession]:
    await sign_in(client, "noor@clinic.example")
    yield client


def ticked(page: str, name: str) -> list[str]:
    found = re.findall(r'<input type="checkbox" name="(\w+)" value="([^"]+)" checked>', page)
    return [value for field, value in found if field == name]


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_a_profile_is_entered_and_shown_again(scheduler: aiohttp.ClientSession, clinic: Clinic) -> None:
    path = f"/experts/{clinic.expert}/profile"
    status, _, place = await send(scheduler, path, PROFILE)
    assert (status, place) == (303, f"{path}?saved=1")
    page = await read(scheduler, place)
    assert "The profile is saved." in page
    assert sorted(ticked(page, "conditions")) == [LUNG, "mesothelioma"]
    assert ticked(page, "languages") == ["en", "de"]
    assert ticked(page, "licences") == ["PT", "US-CA"]
    assert "United States, California" in page
    assert 'value="3"' in page


async def test_an_expert_enters_their_own_profile_and_nobody_elses(
    client: aiohttp.ClientSession, clinic: Clinic
) -> None:
    await sign_in(client, "brandt@clinic.example")
    page = await read(client, f"/experts/{clinic.expert}/profile")
    assert f'href="/experts/{clinic.expert}/profile" aria-current="page"' in page
    status, _, _ = await send(client, f"/experts/{clinic.expert}/profile", PROFILE)
    assert status == 303
    await read(client, f"/experts/{clinic.other_expert}/profile", 404)
    status, _, _ = await send(client, f"/experts/{clinic.other_expert}/profile", PROFILE)
    assert status == 404


async def test_add_ticks_one_more_and_saves_nothing(scheduler: aiohttp.ClientSession, clinic: Clinic) -> None:
    path = f"/experts/{clinic.expert}/profile"
    typed = [*PROFILE, ("licences", "ES"), ("new_cases_a_week", "rubbish"), ("add", "licences")]
    status, page, _ = await send(scheduler, path, typed)
    assert status == 200
    assert ticked(page, "licences") == ["PT", "US-CA", "ES"]
    assert 'value="rubbish"' in page
    assert ticked(await read(scheduler, path), "licences") == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (("conditions", "the vapours"), "This condition is not on the clinic's list."),
        (("specialties", "alchemy"), "This specialty is not on the clinic's list."),
        (("languages", "pt-BR"), "There is no such language on the list."),
        (("licences", "XX"), "There is no such country or state on the list."),
        (("new_cases_a_week", "51"), "Please enter a number from 0 to 50."),
        (("new_cases_a_week", "many"), "Please enter a whole number."),
    ],
)
async def test_a_wrong_profile_comes_back_with_everything_else(
    scheduler: aiohttp.ClientSession, clinic: Clinic, wrong: tuple[str, str], sentence: str
) -> None:
    path = f"/experts/{clinic.expert}/profile"
    status, page, _ = await send(scheduler, path, [*PROFILE, wrong])
    assert status == 422
    assert sentence in unescape(page)
    assert ticked(page, "licences") == ["PT", "US-CA"]
    assert sorted(ticked(page, "conditions")) == [LUNG, "mesothelioma"]
    assert ticked(await read(scheduler, path), "conditions") == []


async def test_the_scheduler_adds_a_condition_which_a_case_can_then_name(
    scheduler: aiohttp.ClientSession, clinic: Clinic
) -> None:
    typed = {"name": "100 % <rare> %(x)s", "specialty": "", "new_specialty": "Tropical {medicine}", "icd10": "B5X"}
    status, _, place = await send(scheduler, "/conditions", typed)
    assert (status, place) == (303, "/conditions?added=1")
    assert "100 % &lt;rare&gt; %(x)s" in await read(scheduler, place)
    status, page, _ = await send(scheduler, "/conditions", typed | {"icd10": "nonsense"})
    assert status == 422
    assert 'value="nonsense"' in page
    page = await read(scheduler, f"/cases/{clinic.case}/profile")
    code = re.search(r'value="([^"]+)">100 % &lt;rare', page)
    assert code is not None
    status, _, place = await send(scheduler, f"/cases/{clinic.case}/profile", {"condition": code[1]})
    assert (status, place) == (303, f"/cases/{clinic.case}/experts")
    shown = text_of(await read(scheduler, place))
    assert "100 % <rare> %(x)s" in shown


async def test_a_case_is_opened_with_what_an_expert_must_fit(
    scheduler: aiohttp.ClientSession, database: Database
) -> None:
    typed = [
        ("name", "Rui Costa"), ("diagnosis", "Glioma"), ("language", "es"), ("condition", GLIOMA),
        ("other_languages", "pt"), ("region", "PT"),
    ]  # fmt: skip
    status, page, _ = await send(
        scheduler, "/cases/new", [*typed, ("other_languages", "fr"), ("add", "other_languages")]
    )
    assert status == 200, "one more language, nothing opened"
    assert ticked(page, "other_languages") == ["pt", "fr"]
    assert 'value="Rui Costa"' in page
    status, page, _ = await send(scheduler, "/cases/new", [*typed, ("region", "XX")])
    assert status == 422
    assert "There is no such country or state" in page
    status, _, place = await send(scheduler, "/cases/new", typed)
    assert status == 303
    assert await database.pool.fetchval("select count(*) from cases") == 2, "the refused one was not opened"
    shown = text_of(await read(scheduler, place))
    assert "Condition: Low-grade glioma Languages: Spanish, Portuguese Lives in: Portugal" in shown


async def set_up(database: Database, clinic: Clinic) -> None:
    async with database.pool.acquire() as conn:
        known: dict[str, Any] = {"specialties": [], "new_cases_a_week": 2, "by": clinic.scheduler, "now": utc_now()}
        await matching.set_profile(
            conn, clinic.expert, conditions=[LUNG], languages=["en"], licences=["PT"], leads_panels=True, **known
        )
        await matching.set_profile(
            conn,
            clinic.other_expert,
            conditions=[GLIOMA],
            languages=["fr"],
            licences=["CA"],
            leads_panels=False,
            **known,
        )
        await matching.set_case_profile(
            conn, clinic.case, condition=LUNG, other_languages=["pt"], region="PT", by=clinic.scheduler, now=utc_now()
        )


async def test_the_list_says_why_and_leads_into_booking(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    assert f'href="/cases/{clinic.case}/experts">Choose an expert' in await read(scheduler, f"/cases/{clinic.case}")
    await set_up(database, clinic)
    page = await read(scheduler, f"/cases/{clinic.case}/experts")
    shown = text_of(page)
    fits, against = shown.split("Something speaks against")
    assert "1. Dr Sabine Brandt" in fits
    assert "Condition Yes Reviews this condition: Non-small-cell lung cancer." in fits
    assert "Licence Yes May give opinions in Portugal." in fits
    assert "Language Yes Speaks the patient's first language: English." in fits
    assert "Load Yes Booked in the next four weeks: 0. Opinions to write: 0. Wanted: at most 8." in fits
    assert "2. Dr Helen Okafor" in against
    assert "Licence No Has entered no licence for Portugal." in against
    assert "Language No They share no language. An interpreter is needed: English." in against
    assert "Time No Has entered no working hours." in against
    at = re.search(r'name="at" value="([^"]+)"', page)
    assert at is not None
    typed = {"expert": str(clinic.expert), "note": "The patient asked for her.", "at": at[1]}
    status, _, place = await send(scheduler, f"/cases/{clinic.case}/experts", typed)
    assert status == 303
    assert place.startswith(f"/cases/{clinic.case}/book?expert={clinic.expert}&length=45&day=")
    booking = await read(scheduler, place)
    assert re.search(rf'value="{re.escape(at[1])}"\s+checked', booking), "the time that was pressed is chosen"
    page = text_of(await read(scheduler, f"/cases/{clinic.case}"))
    assert "Dr Sabine Brandt is chosen." in page
    assert "By Noor Aziz on" in page
    assert "Place 1 of 2 on the list then." in page
    assert "“The patient asked for her.”" in page
    assert "Dr Sabine Brandt is chosen" in text_of(await read(scheduler, "/cases"))
    assert "Dr Sabine Brandt is chosen." in text_of(await read(scheduler, f"/cases/{clinic.case}/experts"))


@pytest.mark.parametrize(
    ("only", "shown"),
    [
        ("only=condition", "1 of 2 experts."),
        ("only=licence&only=language&only=room&only=panels", "1 of 2 experts."),
        ("only=nonsense", ""),
    ],
)
async def test_the_list_can_be_narrowed(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database, only: str, shown: str
) -> None:
    await set_up(database, clinic)
    page = text_of(await read(scheduler, f"/cases/{clinic.case}/experts?{only}"))
    assert shown in page
    assert "1. Dr Sabine Brandt" in page
    assert ("Dr Helen Okafor" in page) is (shown == "")


@pytest.mark.parametrize("expert", ["", "0", "-1", "999999999999999999", "9" * 40, "Dr Brandt"])
async def test_choosing_nobody_is_answered_calmly_and_keeps_nothing(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database, expert: str
) -> None:
    status, page, _ = await send(scheduler, f"/cases/{clinic.case}/experts", {"expert": expert, "at": "tomorrow"})
    assert status == 422
    assert 'role="alert"' in page
    assert await database.pool.fetchval("select count(*) from expert_choices") == 0


async def test_the_list_is_in_the_readers_language(
    scheduler: aiohttp.ClientSession, clinic: Clinic, database: Database
) -> None:
    await set_up(database, clinic)
    page = text_of(await read(scheduler, f"/cases/{clinic.case}/experts?language=es"))
    assert "Revisa esta enfermedad: Cáncer de pulmón no microcítico." in page
    assert "No comparten ningún idioma. Hace falta un intérprete: inglés." in page


async def test_a_case_that_is_not_there_has_no_list(scheduler: aiohttp.ClientSession) -> None:
    for path in ("/cases/999999/experts", "/cases/999999/profile", "/experts/999999/profile"):
        await read(scheduler, path, 404)
    for path in ("/cases/999999/experts", "/cases/999999/profile"):
        status, _, _ = await send(scheduler, path, {"expert": "1"})
        assert status == 404, path
