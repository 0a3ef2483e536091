"""What a whole journey leaves behind: no secret in any row, none of it and no name in the log (SECURITY 1, 20)."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import pytest

from consult import log
from consult.keys import POOL
from tests.conftest import Database, Server
from tests.integration.clinic import PASSWORD
from tests.integration.personas import EXPERT, PATIENT, SCHEDULER, Town, picture, proof_of, settle
from tests.integration.test_security_socket import hello, socket, ticket_of

CLINICAL = ("Ribeiro", "Ana", "Sabine", "Lung", "cancer", "drive", "surgery", "ana@example.org", "biopsy", "Headache")
SDP = "v=0\r\na=ice-pwd:nobodymayreadthispassword\r\n"


@pytest.fixture
async def town(server: Server) -> Town:
    async with server.app[POOL].acquire() as conn:
        return await settle(server, conn)


async def play(server: Server, town: Town) -> list[str]:
    """Do what people do, well and badly; return every secret that passed."""
    secrets = [town.link.secret, town.link.code, PASSWORD, *town.tokens.values(), "a wrong password of mine"]
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.DummyCookieJar()) as client:

        async def send(persona: str, path: str, **fields: Any) -> aiohttp.ClientResponse:
            form = aiohttp.FormData({"csrf": proof_of(town.tokens[persona], server.settings)} | fields)
            headers = town.cookie_of(persona)
            async with client.post(path, data=form, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return answer

        await send(PATIENT, "/visit/questions", question="Was the biopsy right? My name is Ana Ribeiro.")
        await send(PATIENT, "/visit/records", file=io.BytesIO(picture()))
        await send(PATIENT, "/visit/records", file=io.BytesIO(b"<html>Headache</html>"))
        await send(PATIENT, "/join", secret=town.link.secret + "x")
        await send(PATIENT, "/join", number=str(town.link.number), code="22222222")
        await send(PATIENT, "/join/new-link", reach="ana@example.org")
        await send(SCHEDULER, "/sign-in", email="ana@example.org", password="a wrong password of mine")
        await send(SCHEDULER, f"/cases/{town.clinic.case}/questions", question="")
        for path in ("/cases?search=Ribeiro", "/Ribeiro/Lung%20cancer?token=abc", "/sign-in?next=/cases?search=Ana"):
            async with client.get(path, headers=town.cookie_of(SCHEDULER), allow_redirects=False) as answer:
                await answer.read()
        tickets = [await ticket_of(client, server, town, who) for who in (EXPERT, PATIENT)]
        async with socket(client, server, town, EXPERT) as host:
            await hello(host, tickets[0])
            for message in (
                {"type": "say", "line_id": "a" * 16, "text": "The biopsy of Ana Ribeiro"},
                {"type": "offer", "sdp": SDP, "attempt": 1},
                {"type": "Headache", "Ribeiro": 1},
                {"type": "say", "Ribeiro": "Lung"},
            ):
                await host.send_json(message)
            await host.send_str("Headache {")
            await host.send_json({"type": "ping", "n": 1})
            while (await host.receive_json(timeout=20))["type"] != "pong":
                pass
        await send(EXPERT, "/sign-out")
    return [*secrets, *tickets]


async def test_a_whole_journey_leaves_no_secret_and_nobodys_name(
    server: Server, database: Database, town: Town
) -> None:
    written = io.StringIO()
    log.set_up_log("json", written)
    try:
        secrets = await play(server, town)
    finally:
        log.set_up_log()
    lines = written.getvalue()
    assert lines.count("\n") > 10, "the journey was logged"
    assert all(json.loads(line) for line in lines.splitlines())
    for secret in (*secrets, *CLINICAL, "nobodymayread", "token=", "search=", "next="):
        assert secret not in lines, secret[:12]
    rows = await every_row(database)
    for secret in secrets:
        assert secret not in rows, "only hashes are kept"
    assert "nobodymayread" not in rows


async def every_row(database: Database) -> str:
    names = await database.pool.fetch("select table_name from information_schema.tables where table_schema = 'public'")
    found = [await database.pool.fetch(f"select t::text from {row['table_name']} t") for row in names]
    return "\n".join(str(row[0]) for rows in found for row in rows)
