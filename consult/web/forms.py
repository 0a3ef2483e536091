"""What people filled in, read once and kept: typed values, a sentence for each wrong field, everything as typed.

A view does: `form = await read_form(request)`, asks it for values, then `form.raise_if_wrong()`, or shows its page
again with `form.values` and `form.errors`. JSON bodies read like forms.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import unicodedata
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from consult.domain.errors import BodyRefused, BodyTooLarge, InvalidInput
from consult.domain.words import N_
from consult.web.patience import patience, patience_for_a_form
from consult.web.request_keys import PARTS, WORDS
from consult.web.words import Words

# What aiohttp's parser raises over a body that is broken or ends in the middle.
BROKEN_PARTS = (ValueError, AssertionError, LookupError, EOFError, StopAsyncIteration, HttpProcessingError)
CHUNK_BYTES = 256 * 1024
MAX_FIELDS = 200
OURS = frozenset({"csrf", "once"})  # fields that nobody fills in
MAX_DIGITS = 40  # more than any number here may have, and few enough to be read as one
# Nor what turns the letters around it to another direction: a name with it turns the rest of its line, too.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

FILL_IN = N_("Please fill this in.")
TOO_LONG = N_("Please shorten this to {max_chars} characters.")
NOT_A_NUMBER = N_("Please enter a whole number.")
NUMBER_RANGE = N_("Please enter a number from {least} to {most}.")
NOT_A_DATE = N_("Please enter a date, for example 2026-03-31.")
NO_SUCH_DAY = N_("There is no such day in the calendar. The 29th of February, for example, is only in leap years.")
NOT_A_TIME = N_("Please enter a time, for example 14:30.")
NOT_A_CHOICE = N_("Please choose one of the given answers.")


@dataclass(slots=True)
class Form:
    """values: everything as it was typed, to show it again. errors: per field, in the reader's language."""

    words: Words
    values: dict[str, str]
    lists: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def wrong(self, name: str, sentence: str, **values: object) -> None:
        """Mark a field; the first sentence stays."""
        self.errors.setdefault(name, self.words.say(sentence, **values))

    def take(self, wrong: InvalidInput) -> None:
        """Mark the fields that a service found wrong."""
        for name, sentence in wrong.fields.items():
            self.wrong(name, sentence, **wrong.values)

    def raise_if_wrong(self) -> None:
        if self.errors:
            raise InvalidInput(self.errors)

    def text(self, name: str, *, required: bool = False, max_chars: int | None = 200) -> str:
        """Return the text without spaces around it, line ends as \\n, "" if there is none.

        max_chars: None for what is not a text but has a form of its own, where another sentence says what is wrong.
        """
        value = self.values.get(name, "").replace("\r\n", "\n").replace("\r", "\n").strip()
        if required and not value:
            self.wrong(name, FILL_IN)
        if max_chars is not None and len(value) > max_chars:
            self.wrong(name, TOO_LONG, max_chars=max_chars)
        return value

    def password(self, name: str, *, max_chars: int = 200) -> str:
        """Return a password exactly as typed, in one Unicode form."""
        value = unicodedata.normalize("NFKC", self.values.get(name, ""))
        if not value:
            self.wrong(name, FILL_IN)
        if len(value) > max_chars:
            self.wrong(name, TOO_LONG, max_chars=max_chars)
        return value

    def whole_number(self, name: str, *, required: bool = True, least: int = 0, most: int = 2**31 - 1) -> int | None:
        value = self.text(name, required=required, max_chars=None)
        if not value:
            return None
        if not re.fullmatch(r"[+-]?[0-9]+", value):
            self.wrong(name, NOT_A_NUMBER)
            return None
        if len(value) > MAX_DIGITS or not least <= int(value) <= most:
            self.wrong(name, NUMBER_RANGE, least=least, most=most)
            return None
        return int(value)

    def date(self, name: str, *, required: bool = True) -> dt.date | None:
        value = self.text(name, required=required, max_chars=None)
        if not value:
            return None
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.wrong(name, NO_SUCH_DAY if re.fullmatch(r"\d{4}-[01]\d-[0-3]\d", value, re.ASCII) else NOT_A_DATE)
            return None

    def clock_time(self, name: str, *, required: bool = True) -> dt.time | None:
        """Return a time of day without a zone, to the minute."""
        value = self.text(name, required=required, max_chars=None)
        if not value:
            return None
        try:
            return time_of_day(value)
        except ValueError:
            self.wrong(name, NOT_A_TIME)
            return None

    def choice(self, name: str, allowed: Collection[str], *, required: bool = True) -> str:
        value = self.text(name, required=required)
        if value and value not in allowed:
            self.wrong(name, NOT_A_CHOICE)
            return ""
        return value

    def several(self, name: str, *, most: int = MAX_FIELDS, max_chars: int = 60) -> list[str]:
        """Return what was chosen of a list, by boxes or selects of one name: each once, in the order of the form."""
        values = (value.strip()[:max_chars] for value in self.lists.get(name, [])[:most])
        return list(dict.fromkeys(value for value in values if value))

    def checked(self, name: str) -> bool:
        return self.values.get(name, "") not in ("", "0", "false", "off", "no")


def time_of_day(text: str) -> dt.time:
    """Return a time of day, to the minute. Raises ValueError, also for one that names a zone."""
    at = dt.time.fromisoformat(text)
    if at.tzinfo is not None:
        raise ValueError("zone")
    return at.replace(second=0, microsecond=0)


async def read_form(request: web.Request) -> Form:
    """Return the form that was sent, or the JSON object. Raises BodyRefused or BodyTooLarge."""
    words: Words = request[WORDS]
    if request.content_type in ("application/json", "text/json"):
        return Form(words, {name: _clean(value) for name, value in (await read_json(request)).items()})
    if request.content_type == "multipart/form-data":
        return await _read_small_parts(request, words)
    try:
        async with patience_for_a_form():
            posted = await request.post()
    except (ValueError, LookupError):
        raise BodyRefused("form") from None
    if len(posted) > MAX_FIELDS:
        raise BodyRefused("fields")
    pairs = [(name, _clean(value)) for name, value in posted.items() if isinstance(value, str) and name not in OURS]
    return _form(words, pairs)


def _form(words: Words, pairs: list[tuple[str, str]]) -> Form:
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    return Form(words, {name: values[-1] for name, values in lists.items()}, lists)


def _clean(value: object) -> str:
    """Return text that a database can hold: no control characters but tab and line end, no halves of letters."""
    if value is None or value is False:
        return ""
    return _CONTROLS.sub("", value if isinstance(value, str) else str(value))


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises BodyRefused if it is none."""
    try:
        async with patience_for_a_form():
            body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BodyRefused("json") from None
    if not isinstance(body, dict):
        raise BodyRefused("json object")
    return body


async def _read_small_parts(request: web.Request, words: Words) -> Form:
    pairs: list[tuple[str, str]] = []
    upload = await read_upload(request)
    pairs += upload.fields.items()
    return _form(words, pairs)


@dataclass(frozen=True, slots=True)
class Upload:
    """One file on its way in. file_name: None if the form was sent without one; fields: those sent before the file."""

    file_name: str | None
    media_type: str
    fields: Mapping[str, str]
    chunks: AsyncIterator[bytes]


async def read_upload(request: web.Request, name: str = "file") -> Upload:
    """Return the file in the field `name`, its bytes not yet read. Raises BodyRefused.

    The form has `csrf` first, then its other fields, then the file.
    """
    fields: dict[str, str] = {}
    size_bytes = 0
    try:
        parts = request[PARTS] if PARTS in request else await request.multipart()
        while len(fields) < MAX_FIELDS and (part := await _next_part(request, parts)) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise BodyRefused("part")
            if part.name == name and part.filename is not None:
                media_type = part.headers.get("Content-Type", "")
                return Upload(_clean(part.filename)[:255] or None, media_type, fields, _chunks(request, part))
            value = await _next_chunk(request, part)
            size_bytes += len(value)
            if size_bytes > CHUNK_BYTES:
                raise BodyTooLarge("fields")
            if part.name not in OURS:
                fields[part.name] = _clean(value.decode("utf-8", "replace"))
    except BROKEN_PARTS:
        raise BodyRefused("multipart") from None
    return Upload(None, "", fields, _nothing())


async def _next_part(request: web.Request, parts: MultipartReader) -> MultipartReader | BodyPartReader | None:
    async with patience(request):
        return await parts.next()


async def _next_chunk(request: web.Request, part: BodyPartReader) -> bytes:
    async with patience(request):
        return await part.read_chunk(CHUNK_BYTES)


async def _chunks(request: web.Request, part: BodyPartReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await _next_chunk(request, part):
            yield chunk
    except BROKEN_PARTS:
        raise BodyRefused("multipart") from None


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk
