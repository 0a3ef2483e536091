"""Pages: Jinja2 templates in the reader's language, with what every page needs.

A template has: _, ngettext and {% trans %} (named values as %(name)s), language, language_names, csrf, clinic_name,
staff, visit, asset(path), path, demo, has_outbox; filters clock_time, clock_beside, which_hour, long_date,
short_date, zone_place, zone_then, number, file_size.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import babel.dates
import babel.numbers
from aiohttp import web
from babel import Locale
from jinja2 import BytecodeCache, Environment, FileSystemLoader
from jinja2.bccache import Bucket

from consult.domain.words import N_
from consult.domain.zones import is_shown_twice, is_summer_time
from consult.keys import SETTINGS
from consult.web import csrf
from consult.web.assets import Assets
from consult.web.once import new_mark
from consult.web.request_keys import LANGUAGE_ON_FILE, STAFF, VISIT, WORDS
from consult.web.words import LANGUAGES, Languages, Words, pick_language

CITY_TIME = N_("{city} time")
PLACE_AND_HOUR = N_("{place} ({hour})")
PAGES: web.AppKey[Pages] = web.AppKey("pages")


class _Compiled(BytecodeCache):
    """What templates were compiled to: the same for every language, and the most of what a first page costs."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])  # left out if the template's text is another one

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


_compiled = _Compiled()


class Pages:
    """The compiled templates, once per language."""

    def __init__(self, folder: Path, languages: Languages, assets: Assets) -> None:
        self._folder = folder
        self._languages = languages
        self._assets = assets
        self._environments: dict[str, Environment] = {}

    def environment(self, language: str) -> Environment:
        found = self._environments.get(language)
        if found is None:
            found = self._environments[language] = self._make(self._languages[language])
        return found

    def _make(self, words: Words) -> Environment:
        made = Environment(
            loader=FileSystemLoader(self._folder),
            bytecode_cache=_compiled,
            autoescape=True,
            auto_reload=False,  # a page of tomorrow must not meet the code of today
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        i18n: Any = made
        i18n.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)
        made.globals.update(
            asset=self._assets.url, new_mark=new_mark, language=words.language, languages=self._languages.codes
        )
        made.globals.update(language_names={code: language_name(code) for code in self._languages.codes})
        locale = words.language
        made.filters.update(
            clock_time=partial(clock_time, locale=locale),
            clock_beside=partial(clock_beside, locale=locale),
            which_hour=partial(which_hour, locale=locale),
            long_date=partial(long_date, locale=locale),
            short_date=partial(short_date, locale=locale),
            zone_place=partial(zone_place, words=words),
            zone_then=partial(zone_then, words=words),
            number=partial(babel.numbers.format_decimal, locale=locale),
            file_size=partial(file_size, locale=locale),
        )
        return made


def reader_words(request: web.Request) -> Words:
    """Return the reader's words, as far as is known by now who they are."""
    staff, visit = request.get(STAFF), request.get(VISIT)
    on_file = (getattr(staff, "language", None), getattr(visit, "language", None), request.get(LANGUAGE_ON_FILE))
    language = pick_language(request, *on_file)
    return request.app[LANGUAGES][language]


def render(
    request: web.Request,
    template: str,
    values: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return a page in the reader's language."""
    words = request[WORDS] = reader_words(request)
    settings = request.app[SETTINGS]
    page = request.app[PAGES].environment(words.language).get_template(template)
    known: dict[str, Any] = {
        "csrf": csrf.proof(request),
        "clinic_name": settings.clinic_name,
        "staff": request.get(STAFF),
        "visit": request.get(VISIT),
        "path": request.path,
        "demo": settings.demo,
        "has_outbox": settings.mail_url is None,
        "errors": {},
        "values": {},
    }
    response = web.Response(
        text=page.render({**known, **(values or {})}), content_type="text/html", status=status, headers=headers
    )
    response.headers.setdefault("Cache-Control", "no-store")
    csrf.keep_before_cookie(request, response)
    return response


def language_name(code: str) -> str:
    """Return what the language calls itself, as it stands alone on a button: English, Español."""
    name: str = Locale.parse(code).get_display_name(code) or code
    return name[:1].upper() + name[1:]


def zone(name: str | tzinfo | None) -> tzinfo:
    """Return the time zone of that name, UTC if there is none."""
    if isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def clock_time(instant: datetime, tz: str | tzinfo | None = None, *, locale: str) -> str:
    """14:30 in that zone."""
    return babel.dates.format_time(instant.astimezone(zone(tz)), "HH:mm", locale=locale)


def clock_beside(instant: datetime, tz: str | tzinfo | None, other: str | tzinfo | None, *, locale: str) -> str:
    """14:30 in a zone, said beside what another zone's clock shows: with the day if it is another one there."""
    clock = exact_time(instant, tz, locale=locale)
    local = instant.astimezone(zone(tz))
    if local.date() == instant.astimezone(zone(other)).date():
        return clock
    return f"{babel.dates.format_date(local, 'EEE d MMM', locale=locale)}, {clock}"


def exact_time(instant: datetime, tz: str | tzinfo | None, *, locale: str) -> str:
    """14:30 in that zone; where the clock shows it twice, with the zone's name then."""
    clock, name = clock_time(instant, tz, locale=locale), which_hour(instant, tz, locale=locale)
    return f"{clock}, {name}" if name else clock


def which_hour(instant: datetime, tz: str | tzinfo | None, *, locale: str) -> str:
    """Return the zone's name at an instant that its clock shows twice, else "": that of the hour that is meant."""
    is_twice = is_shown_twice(instant.astimezone(zone(tz)))
    return zone_name(instant, tz, locale=locale) if is_twice else ""


def long_date(instant: datetime | date, tz: str | tzinfo | None = None, *, locale: str) -> str:
    """Tuesday, 31 March 2026 in that zone."""
    day = instant.astimezone(zone(tz)) if isinstance(instant, datetime) else instant
    form = "EEEE, d 'de' MMMM 'de' y" if locale == "es" else "EEEE, d MMMM y"
    return babel.dates.format_date(day, form, locale=locale)


def short_date(instant: datetime | date, tz: str | tzinfo | None = None, *, locale: str) -> str:
    """31 Mar 2026 in that zone."""
    day = instant.astimezone(zone(tz)) if isinstance(instant, datetime) else instant
    return babel.dates.format_date(day, "d MMM y", locale=locale)


def zone_name(instant: datetime, tz: str | tzinfo | None, *, locale: str) -> str:
    """Central European Summer Time: how people call the zone at that instant."""
    local = instant.astimezone(zone(tz))
    variant: Literal["daylight", "standard"] = "daylight" if is_summer_time(local) else "standard"
    return babel.dates.get_timezone_name(local, locale=locale, zone_variant=variant)


def zone_place(instant: datetime, tz: str | tzinfo | None, *, words: Words) -> str:
    """Lisbon time: what people say at a place, right in summer and winter; in pages, mails and calendars alike.

    A zone without a place goes by its name.
    """
    found = zone(tz)
    if not isinstance(found, ZoneInfo) or "/" not in found.key or found.key.startswith("Etc/"):
        return zone_name(instant, found, locale=words.language)
    city = babel.dates.get_timezone_location(found, locale=words.language, return_city=True).rpartition("/")[2]
    return words.say(CITY_TIME, city=city)


def zone_then(instant: datetime, tz: str | tzinfo | None, *, words: Words) -> str:
    """Lisbon time, of one time; in an hour that the clock shows twice, with the name of the one that is meant."""
    place, hour = zone_place(instant, tz, words=words), which_hour(instant, tz, locale=words.language)
    return words.say(PLACE_AND_HOUR, place=place, hour=hour) if hour and hour != place else place


def file_size(size_bytes: int, *, locale: str) -> str:
    """1.4 MB: decimal units, one digit behind the point from 1 MB."""
    for unit, divisor, digits in (("GB", 10**9, "#,##0.0"), ("MB", 10**6, "#,##0.0"), ("kB", 10**3, "#,##0")):
        if size_bytes >= divisor:
            return f"{babel.numbers.format_decimal(size_bytes / divisor, digits, locale=locale)} {unit}"
    return f"{size_bytes} B"
