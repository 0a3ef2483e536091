"""The catalogues: complete, up to date with the sources, and true to their placeholders."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from consult.settings import KNOWN_LANGUAGES
from consult.web.words import load_languages
from scripts.extract_words import TEMPLATE, TOP, extract, read_catalogue

TRANSLATED = [language for language in KNOWN_LANGUAGES if language != "en"]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+>")
NOT_READ = re.compile(
    r"\{#.*?#\}|\{%-?\s*trans\b.*?endtrans\s*-?%\}|\{\{.*?\}\}"
    r"|\{%-?\s*block (?:body_class|main_class|body_attributes)\b.*?endblock\s*-?%\}|\{%.*?%\}",
    re.S,
)
READ_ATTRIBUTE = re.compile(r'\s(?:aria-label|aria-description|alt|title|placeholder)="[^"]*[A-Za-z]{2}[^"]*"')


def catalogue(language: str) -> Catalog:
    return read_catalogue(TOP / "locale" / language / "LC_MESSAGES" / "consult.po")


def forms_of(message: Message) -> tuple[str, ...]:
    """The English sentence, or both forms of a plural one."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id or ())


def translations_of(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def sentences(found: Catalog) -> dict[tuple[str, ...], set[str]]:
    """Each sentence with the files that say it."""
    return {forms_of(one): {place for place, _line in one.locations} for one in found if one.id}


@cache
def said_by_the_sources() -> dict[tuple[str, ...], set[str]]:
    return sentences(extract())


def test_the_template_holds_what_templates_python_and_scripts_say() -> None:
    assert sentences(read_catalogue(TEMPLATE)) == said_by_the_sources(), "Run `make words` and translate what is new."


def test_words_are_found_in_every_kind_of_place() -> None:
    found = said_by_the_sources()
    assert "templates/_partials/header.html" in found["Sign out",], "a folder that begins with a line"
    assert "templates/room/_lobby.html" in found["<b>You came in</b> at %(time)s %(zone)s.",], "a trans block"
    assert "consult/domain/errors.py" in found["Please sign in first.",], "an error's sentence"
    assert "static/js/room/head.js" in found["{count} min left", "{count} min left"], "a script's plural"
    assert "consult/scheduling/visit_views.py" in found["%(num)d page", "%(num)d pages"], "a plural in Python"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated_and_none_is_a_guess(language: str) -> None:
    found = catalogue(language)
    assert sentences(found) == sentences(read_catalogue(TEMPLATE)), "Run `make words`."
    missing = [forms_of(one) for one in found if one.id and not all(translations_of(one))]
    assert missing == []
    assert [forms_of(one) for one in found if one.id and one.fuzzy] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_placeholders_marks_and_plural_forms_agree(language: str) -> None:
    found = catalogue(language)
    for message in found:
        if not message.id:
            continue
        forms, translations = forms_of(message), translations_of(message)
        assert len(translations) == (found.num_plurals if len(forms) > 1 else 1), forms
        for place, translation in enumerate(translations):
            source = forms[min(place, len(forms) - 1)]
            assert Counter(PLACEHOLDER.findall(translation)) == Counter(PLACEHOLDER.findall(source)), forms
            assert translation == translation.strip(), forms
            assert translation.endswith("…") == source.endswith("…"), forms


@pytest.mark.parametrize("language", TRANSLATED)
def test_scripts_are_sent_every_sentence_that_they_say(language: str) -> None:
    sent = load_languages(TOP / "locale", [language])[language].for_scripts["words"]
    sources = said_by_the_sources().items()
    said = {forms for forms, places in sources if any(place.endswith(".js") for place in places)}
    assert set(sent) == {forms[0] for forms in said}
    for forms in said:
        assert isinstance(sent[forms[0]], str if len(forms) == 1 else list), forms


@pytest.mark.parametrize("path", sorted((TOP / "templates").rglob("*.html")), ids=lambda path: path.name)
def test_no_template_says_a_word_beside_the_catalogue(path: Path) -> None:
    left = NOT_READ.sub("", path.read_text())
    assert READ_ATTRIBUTE.findall(left) == []
    between_tags = re.sub(r'<[^>]*>|[\w-]+="[^"]*"', "\n", left)
    assert [line.strip() for line in between_tags.splitlines() if re.search(r"[A-Za-z]{2}", line)] == []
