"""Languages and regions that can be chosen, by code, with their names in the reader's language from Babel's CLDR.

Where licences are given by the parts of a country, as in the United States and Canada, its parts stand beside it; CLDR
as Babel carries it has no names for them, so they are here, in the form that is used there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from babel import Locale

# No region code of ISO 3166-1: CLDR's own, such as those for the world's halves, unions and tests.
NOT_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
# Nobody's mother tongue today, or a name for several languages that have codes of their own.
NOT_SPOKEN = {"ae", "cu", "ia", "ie", "io", "la", "mo", "pi", "sh", "vo"}
LONGER_CODES = ("ase", "ast", "ceb", "ckb", "fil", "haw", "hmn", "kab", "nso", "pcm", "rif", "shi", "yue", "zgh")

_STATES = """
AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|DC District of Columbia
FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine
MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada
NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon
PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia
WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming
"""
_PROVINCES = """
AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador|NT Northwest Territories
NS Nova Scotia|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|SK Saskatchewan|YT Yukon
"""


def _parts(country: str, lines: str) -> dict[str, str]:
    pairs = (one.partition(" ") for line in lines.split("\n") if line for one in line.split("|"))
    return {f"{country}-{code}": name for code, _, name in pairs}


PARTS = _parts("US", _STATES) | _parts("CA", _PROVINCES)


@lru_cache(maxsize=16)
def language_names(locale: str) -> dict[str, str]:
    """Return code and name of every language that can be chosen, ordered by name, which begins with a capital."""
    found = _languages(locale)
    codes = [code for code in _languages("en") if len(code) == 2 and code not in NOT_SPOKEN]
    names = {code: _capital(found.get(code, code)) for code in (*codes, *LONGER_CODES)}
    return dict(sorted(names.items(), key=lambda pair: _sorting(pair[1])))


@lru_cache(maxsize=16)
def region_names(locale: str) -> dict[str, str]:
    """Return code and name of every country, and of the parts of some behind their country, ordered by name."""
    found = _names(Locale.parse(locale).territories)
    codes = [code for code in _names(Locale("en").territories) if len(code) == 2 and code not in NOT_COUNTRIES]
    countries = {code: found.get(code, code) for code in codes}
    names: dict[str, str] = {}
    for code, name in sorted(countries.items(), key=lambda pair: _sorting(pair[1])):
        names[code] = name
        names.update({part: f"{name}, {place}" for part, place in PARTS.items() if part.startswith(f"{code}-")})
    return names


def is_language(code: str) -> bool:
    return code in language_names("en")


def is_region(code: str) -> bool:
    return code in region_names("en")


def language_in_sentence(code: str, locale: str) -> str:
    """Return a language's name as it stands within a sentence: Portuguese, portugués."""
    return _languages(locale).get(code, code)


@lru_cache(maxsize=16)
def _languages(locale: str) -> dict[str, str]:
    """All that Babel knows, read once: a list of experts names languages on every line."""
    return _names(Locale.parse(locale).languages)


def _names(found: object) -> dict[str, str]:
    """Babel's data as what it is: a mapping of texts, of which some are missing in some languages."""
    assert isinstance(found, Mapping)
    return {str(code): str(name) for code, name in found.items() if name}


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _sorting(name: str) -> str:
    """Letters with marks sort beside those without: Åland with A, Élan with E."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", name.casefold()) if letter.isalnum())
