"""What a request carries beside what aiohttp puts into it, by typed key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import MultipartReader, web

if TYPE_CHECKING:
    from consult.people.model import Staff
    from consult.scheduling.model import Visit
    from consult.web.words import Words
else:
    Staff = Visit = Words = object

REFERENCE = web.RequestKey("reference", str)  # what a person and the log call this request by
WORDS = web.RequestKey("words", Words)  # the reader's language: request[WORDS].gettext
STAFF: web.RequestKey[Staff | None] = web.RequestKey("staff")
VISIT: web.RequestKey[Visit | None] = web.RequestKey("visit")
LANGUAGE_ON_FILE = web.RequestKey("language_on_file", str)  # of somebody who has no visit any more
PARTS = web.RequestKey("parts", MultipartReader)  # an upload whose first part was read
FORM_TOKEN = web.RequestKey("form_token", str)
BODY_SINCE_S = web.RequestKey("body_since_s", float)  # when somebody began to wait for the body, monotonic
ERROR_CODE = web.RequestKey("error_code", str)
