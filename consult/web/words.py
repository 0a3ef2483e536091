"""The words that people read, by language: catalogues from locale/<language>/LC_MESSAGES/consult.po, read at start.

English sentences are the keys; a language without a catalogue speaks English. Scripts get theirs as JSON.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


@dataclass(frozen=True, slots=True)
class Words:
    """One language. for_scripts: the JSON for /words/{language}.json."""

    language: str
    translations: gettext.NullTranslations
    for_scripts: dict[str, Any]

    def gettext(self, sentence: str) -> str:
        return self.translations.gettext(sentence) if sentence else ""

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.translations.ngettext(one, many, number)

    def say(self, sentence: str, /, **values: object) -> str:
        """Return the translated sentence with its {placeholders} filled in."""
        text = self.gettext(sentence)
        return text.format(**values) if values else text


class Languages:
    """All catalogues of this server, the first being the clinic's own."""

    def __init__(self, words: dict[str, Words]) -> None:
        self._words = words
        self.codes = tuple(words)

    def __getitem__(self, language: str) -> Words:
        return self._words[language]

    def __contains__(self, language: object) -> bool:
        return language in self._words

    def of(self, language: str) -> Words:
        """Return somebody's language, the clinic's own if this server does not speak it."""
        return self._words.get(language, self.default)

    @property
    def default(self) -> Words:
        return self._words[self.codes[0]]


LANGUAGES: web.AppKey[Languages] = web.AppKey("languages", Languages)


def load_languages(folder: Path, codes: Sequence[str]) -> Languages:
    return Languages({code: _load(folder / code / "LC_MESSAGES" / "consult.po", code) for code in codes})


def _load(path: Path, language: str) -> Words:
    if not path.exists():
        return Words(language, gettext.NullTranslations(), {"language": language, "words": {}})
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language, domain="consult")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Words(language, gettext.GNUTranslations(compiled), _script_words(catalogue, language))


def _script_words(catalogue: Catalog, language: str) -> dict[str, Any]:
    """Entries that a script uses, keyed by the English sentence; plural ones by their singular, as a list of forms."""
    words: dict[str, Any] = {}
    for message in catalogue:
        if not message.id or not any(place.endswith(".js") for place, _line in message.locations):
            continue
        if isinstance(message.id, tuple | list):
            forms = [form for form in message.string or () if form]
            if forms:
                words[message.id[0]] = forms
        elif message.string and not message.fuzzy:
            words[message.id] = message.string
    return {"language": language, "plural": catalogue.plural_expr, "words": words}


def pick_language(request: web.Request, *preferred: str | None) -> str:
    """Return the language for a reader: asked for, chosen earlier, then preferred, then what the browser says."""
    languages = request.app[LANGUAGES]
    for wish in (request.query.get("language"), request.cookies.get("language"), *preferred):
        if wish in languages:
            return str(wish)
    for part in request.headers.get("Accept-Language", "")[:500].split(","):
        code = part.partition(";")[0].strip().partition("-")[0].lower()
        if code in languages:
            return code
    return languages.default.language
