"""Choosing a language, and the words that scripts say."""

from __future__ import annotations

from aiohttp import web

from consult.domain.errors import NotFound
from consult.keys import SETTINGS
from consult.web.address import own_path
from consult.web.forms import read_form
from consult.web.words import LANGUAGES

COOKIE_DAYS = 365
routes = web.RouteTableDef()


@routes.post("/language")
async def choose_language(request: web.Request) -> web.Response:
    form = await read_form(request)
    language = form.choice("language", request.app[LANGUAGES].codes)
    form.raise_if_wrong()
    response = web.Response(status=303, headers={"Location": own_path(form.text("back", max_chars=500))})
    keep_language(request, response, language)
    return response


def keep_language(request: web.Request, response: web.StreamResponse, language: str) -> None:
    """Have this browser read the language from now on."""
    response.set_cookie(
        "language",
        language,
        path="/",
        samesite="Lax",
        max_age=COOKIE_DAYS * 86_400,
        httponly=True,
        secure=request.app[SETTINGS].secure,
    )


@routes.get("/words/{language}.json")
async def show_script_words(request: web.Request) -> web.Response:
    languages = request.app[LANGUAGES]
    language = request.match_info["language"]
    if language not in languages:
        raise NotFound("language")
    return web.json_response(languages[language].for_scripts, headers={"Cache-Control": "no-cache"})
