"""Under every attack tried, the calls of others lose not one frame, and the server's memory stays what it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.attacks import CONNECTIONS, DATAGRAMS, SOCKETS, Run, by_a_neighbour, ten_times_the_frames
from tests.attacks.house import MAX_GROWTH_BYTES, Server, open_house, run_server, suffer

pytestmark = pytest.mark.timeout(180)
SECONDS = 3
TRIES = 4
MAX_LATE_MS = 100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("server")) as running:
        yield running


async def _attack(server: Server, run: Run) -> None:
    for _ in range(TRIES):
        async with open_house(server) as house:
            outcome = await suffer(house, run, SECONDS)
        count = outcome.count
        if count.lost == 0 or count.late_ms < MAX_LATE_MS:
            break  # a machine too busy to send the calls in time says nothing about the server
    assert count.expected > 100 * SECONDS
    assert count.lost == 0, f"{count.lost} of {count.expected} frames; the load was {count.late_ms:.0f} ms late"
    assert outcome.grown_bytes < MAX_GROWTH_BYTES
    assert server.process.is_running()


@pytest.mark.parametrize("kind", DATAGRAMS)
async def test_datagrams_of_strangers_cost_no_call_a_frame(server: Server, kind: str) -> None:
    await _attack(server, DATAGRAMS[kind])


@pytest.mark.parametrize("kind", CONNECTIONS)
async def test_what_a_member_sends_costs_the_others_no_frame(server: Server, kind: str) -> None:
    await _attack(server, CONNECTIONS[kind])


async def test_who_sends_ten_times_what_browsers_do_is_shown_out(server: Server) -> None:
    """After two seconds: a line that stood still may deliver at once what it held."""
    said = server.log.stat().st_size
    async with open_house(server) as house:
        await by_a_neighbour(house, 5, rate_per_s=4_000, make=ten_times_the_frames)
    assert b"a flood of media" in server.log.read_bytes()[said:]


@pytest.mark.parametrize("kind", SOCKETS)
async def test_what_a_socket_does_costs_no_call_a_frame(server: Server, kind: str) -> None:
    await _attack(server, SOCKETS[kind])
