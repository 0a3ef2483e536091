"""`python -m consult load-test` against a server process, and what is left of it there."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import av
import pytest

from consult.load_test import frames
from consult.load_test.frames import load_frames
from tests.conftest import SECRET, free_port
from tests.integration.test_processes import ROOT, start, until_ready

FINISH_WITHIN_S = 240
CLEAN_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Installation:
    url: str
    home: Path
    log: Path
    environment: dict[str, str]

    async def test_load(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "consult", "load-test", *arguments,
            cwd=ROOT, env=self.environment | environment, stdout=-1, stderr=-1,
        )  # fmt: skip
        async with asyncio.timeout(FINISH_WITHIN_S):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture(scope="session")
def encoded() -> Path:
    """What a load test sends. A processor encodes it for many seconds: once, until what encodes it changes."""
    made_by = Path(frames.__file__).read_bytes() + av.__version__.encode()
    folder = ROOT / "build" / "load-test" / hashlib.sha256(made_by).hexdigest()[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # or another process of the tests would do the same beside us
        load_frames(folder)
    return folder


@pytest.fixture
async def installation(database_url: str, tmp_path: Path, encoded: Path) -> AsyncIterator[Installation]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    home = tmp_path / "home"
    common = {"PATH": os.environ["PATH"], "SECRET_KEY": SECRET, "CONSULT_HOME": str(home)}
    web = {
        "DATABASE_URL": database_url,
        "PUBLIC_URL": url,
        "PORT": str(port),
        "MEDIA_HOSTS": "127.0.0.1",
        "DRAIN_S": "0",
    }
    process = start("web", common | web, tmp_path / "log")
    try:
        await until_ready(f"{url}/readyz")
        shutil.copytree(encoded, home / "load-test")
        yield Installation(url, home, tmp_path / "log", common)
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0


@pytest.mark.timeout(600)
async def test_a_load_test_fills_rooms_counts_frames_and_leaves_nothing_behind(
    installation: Installation, database_url: str
) -> None:
    code, out, err = await installation.test_load(
        "--consultations", "2", "--seconds", "3", "--participants", "3", installation.url
    )
    assert code in (0, 1), err  # a busy machine may fail the verdict, not the calls
    assert "joined       2 of 2 consultations, 3 people each" in out, out
    assert "recorded     2 consultations" in out
    received = re.search(r"received +(\d+) of (\d+) frames", out)
    assert received, out
    arrived, expected = map(int, received.groups())
    assert expected > 2 * 6 * 60  # six streams of each kind and room, 80 frames a second
    assert arrived > expected * 0.9
    assert "\nVerdict: " in out
    async with asyncio.timeout(CLEAN_WITHIN_S):
        while list((installation.home / "spool").glob("*/*")):
            await asyncio.sleep(0.1)
    assert not (installation.home / "set-aside").exists()
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select count(*) from consultations") == 0
        assert await connection.fetchval("select count(*) from segments") == 0
    finally:
        await connection.close()
    assert "error" not in installation.log.read_text(), installation.log.read_text()


@pytest.mark.timeout(600)
async def test_a_load_test_says_what_is_missing_or_wrong(installation: Installation) -> None:
    code, _, err = await installation.test_load(installation.url, SECRET_KEY="")
    assert code == 2
    assert "SECRET_KEY: is missing" in err
    code, _, err = await installation.test_load(f"http://127.0.0.1:{free_port()}")
    assert code == 2
    assert "does not answer: the connection was refused" in err
    code, _, err = await installation.test_load("consult.example.org")
    assert code == 2
    assert "URL should be scheme and host alone" in err
    code, _, err = await installation.test_load("--consultations", "100000", installation.url)
    assert code == 2
    assert "--consultations should be from 1 to 500" in err
    code, out, _ = await installation.test_load(
        "--consultations", "1", "--seconds", "1", installation.url, SECRET_KEY="x" * 40
    )
    assert code == 1
    assert "1 × the server does not know our key" in out
    assert "Verdict: Nobody could join." in out
