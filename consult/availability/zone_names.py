"""Time zones as people name them: by IANA's name, or by a city in any language that our pages speak."""

from __future__ import annotations

import unicodedata
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import babel.dates

from consult.settings import KNOWN_LANGUAGES


def find_zone(text: str) -> ZoneInfo | None:
    """Return the zone that somebody typed: its name, in any case, or the city alone; None if there is no such zone.

    May take half a second the first time that a city has another name than IANA's.
    """
    name = _zone_names().get(text.strip().replace(" ", "_").casefold()) or (
        _plain(text) and _cities().get(_plain(text))
    )
    return ZoneInfo(name) if name else None


@cache
def list_zones() -> tuple[str, ...]:
    """Return the zones to choose from: those of places, and UTC."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return (*sorted(places), "UTC")


@cache
def _zone_names() -> dict[str, str]:
    by_city: dict[str, set[str]] = {}
    for name in list_zones():
        by_city.setdefault(name.rpartition("/")[2].casefold(), set()).add(name)
    names = {city: found.pop() for city, found in by_city.items() if len(found) == 1}
    return names | {name.casefold(): name for name in list_zones()}


@cache
def _cities() -> dict[str, str]:
    """What pages call each zone, in every language; of a zone with several names, its present one."""
    found: dict[str, str] = {}
    for name in list_zones()[:-1]:
        cities = [_plain(_city(name, language)) for language in KNOWN_LANGUAGES]
        is_present = _plain(name.rpartition("/")[2]) == cities[0]
        for city in cities:
            if is_present or city not in found:
                found[city] = name
    return found


def _city(name: str, language: str) -> str:
    location = babel.dates.get_timezone_location(ZoneInfo(name), locale=language, return_city=True)
    return location.rpartition("/")[2]


def _plain(text: str) -> str:
    """Return letters and digits alone, without their marks: stjohns, saopaulo."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text.casefold()) if letter.isalnum())
