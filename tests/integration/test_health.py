"""What a load balancer asks."""

from __future__ import annotations

import aiohttp

from tests.conftest import Server


async def test_a_running_server_is_healthy_and_ready(server: Server, client: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/readyz"):
        async with client.get(path) as answer:
            assert answer.status == 200, path
            assert (await answer.json())["status"] == "ok"
            assert answer.headers["Cache-Control"] == "no-store"


async def test_an_unknown_address_gets_a_calm_page(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get("/nothing-here") as answer:
        assert answer.status == 404
        assert "There is nothing at this address." in await answer.text()
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
