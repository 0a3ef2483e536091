"""Ids from addresses. What cannot be an id is an address without anything at it."""

from __future__ import annotations

import datetime as dt
import uuid

from aiohttp import web

from consult.domain.errors import NotFound

MOST = 2**63 - 1


def number_in_path(request: web.Request, name: str = "id") -> int:
    """Return a number from the path, `CaseId(number_in_path(request))`. Raises NotFound."""
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 0 < int(text) <= MOST:
        raise NotFound(name)
    return int(text)


def uuid_in_path(request: web.Request, name: str = "id") -> uuid.UUID:
    """Return a UUID from the path, `RecordId(uuid_in_path(request))`. Raises NotFound."""
    try:
        return uuid.UUID(request.match_info[name])
    except ValueError:
        raise NotFound(name) from None


def day_in_query(request: web.Request, otherwise: dt.date, name: str = "day") -> dt.date:
    """Return the day that `?day=` names; the other one if it names none."""
    try:
        day = dt.date.fromisoformat(request.query.get(name, ""))
    except ValueError:
        return otherwise
    return day if 1900 < day.year < 2200 else otherwise


def number_in_query(request: web.Request, name: str) -> int | None:
    """Return the number that the query names, None if it names none."""
    text = request.query.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > MOST:
        return None
    return int(text)
