"""Reading pages like a browser without scripts: sign in, take the proof from a page, send a form."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import aiohttp

from tests.integration.clinic import PASSWORD

_PROOF = re.compile(r'<meta name="csrf" content="([^"]*)"')


async def proof(client: aiohttp.ClientSession, path: str) -> str:
    """Return the proof that a page gives its forms."""
    async with client.get(path) as answer:
        found = _PROOF.search(await answer.text())
    assert found is not None, path
    return unescape(found.group(1))


async def sign_in(client: aiohttp.ClientSession, email: str) -> None:
    data = {"csrf": await proof(client, "/sign-in"), "email": email, "password": PASSWORD}
    async with client.post("/sign-in", data=data, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()


async def send(
    client: aiohttp.ClientSession, path: str, data: Any, *, page: str = "/cases", follow: bool = False
) -> tuple[int, str, str]:
    """Send a form as a page does. Returns status, text and where it leads to."""
    fields = [("csrf", await proof(client, page)), *(data.items() if isinstance(data, dict) else data)]
    body = aiohttp.FormData(fields)
    async with client.post(path, data=body, allow_redirects=follow) as answer:
        return answer.status, await answer.text(), answer.headers.get("Location", "")


async def read(client: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with client.get(path, allow_redirects=False) as answer:
        text = await answer.text()
        assert answer.status == status, f"{path} gave {answer.status}: {text[:500]}"
        return text
