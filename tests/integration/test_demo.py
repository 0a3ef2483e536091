"""`python -m consult demo`, as somebody who tries it does it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 90


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="consult-demo-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


def start(home: Path, port: int, command: list[str] | None = None) -> subprocess.Popen[str]:
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    environment = known | {"CONSULT_HOME": str(home), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    command = command or [sys.executable, "-m", "consult", "demo"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def links(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return what was printed before Ready, by the name before the colon."""
    found: dict[str, str] = {}
    assert process.stdout is not None
    async with asyncio.timeout(START_WITHIN_S):
        while (line := (await asyncio.to_thread(process.stdout.readline)).strip()) != "Ready":
            assert line, "it ended before it was ready"
            name, _, url = line.partition(": ")
            assert name not in found
            found[name] = url
    return found


async def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    out, err = await asyncio.wait_for(asyncio.to_thread(process.communicate), 40)
    assert out == "", "nothing follows Ready"
    _gone, left = psutil.wait_procs(children, timeout=5)
    assert left == []
    assert "Traceback" not in err, err
    return process.returncode


async def who_waits(link: str) -> int:
    """Come in as the scheduler and count the lines of the wait list."""
    page, secret = link.split("#")
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "text/html"}) as browser:
        async with browser.get(page) as shown:
            proof = re.search('name="csrf" value="([^"]+)"', await shown.text())
        assert proof is not None
        await browser.post(f"{page}/enter", data={"csrf": proof[1], "secret": secret.partition(".")[2]})
        async with browser.get(page.replace("/demo", "/waiting")) as waiting:
            return (await waiting.text()).count("wait-line")


@pytest.mark.timeout(300)
async def test_three_people_come_in_and_a_second_start_keeps_everything(home: Path) -> None:
    port = free_port()
    process = start(home, port)
    try:
        first = await links(process)
        assert set(first) == {"Scheduler", "Expert", "Patient"}
        assert first["Scheduler"].startswith(f"http://127.0.0.1:{port}/demo#scheduler.")
        assert first["Expert"].startswith(f"http://localhost:{port}/demo#expert.")
        assert first["Patient"].startswith(f"http://localhost:{port}/join#")
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "text/html"}) as browser:
            for name, place in (("Scheduler", "/board"), ("Expert", "/today")):
                page, secret = first[name].split("#")
                async with browser.get(page) as shown:
                    text = await shown.text()
                proof = re.search('name="csrf" value="([^"]+)"', text)
                assert proof is not None
                form = {"csrf": proof[1], "secret": secret.partition(".")[2]}
                async with browser.post(f"{page}/enter", data=form) as entered:
                    assert entered.status == 200
                    assert entered.url.path == place
            async with browser.get(f"http://127.0.0.1:{port}/board") as board:
                assert "Ana Ribeiro" in await board.text()
            async with browser.get(f"http://127.0.0.1:{port}/waiting") as waiting:
                text = await waiting.text()
                assert text.count("wait-line") == 2 and "Ingrid Solberg" in text and "Tomás Vidal" in text
            entry = re.search(r'action="(/waiting/[\w-]+/remove)"', text)
            proof = re.search('name="csrf" content="([^"]+)"', text)
            assert entry is not None and proof is not None
            removal = f"http://127.0.0.1:{port}{entry[1]}"
            async with browser.post(removal, data={"csrf": unescape(proof[1])}) as removed:
                assert (await removed.text()).count("wait-line") == 1
        assert await end(process) == 0
    finally:
        process.kill()
    process = start(home, port)
    try:
        second = await links(process)
        assert second["Patient"] != first["Patient"], "every start makes new links"
        assert await who_waits(second["Scheduler"]) == 1, "who was taken off the list stays off it"
        assert await end(process, signal.SIGINT) == 0
    finally:
        process.kill()


def test_a_taken_port_is_said_so(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(home, port)
        out, err = process.communicate(timeout=START_WITHIN_S)
    assert process.returncode == 2
    assert f"Port {port} is taken" in err
    assert out == ""


@pytest.mark.timeout(300)
async def test_what_ends_make_ends_the_demonstration_too(home: Path) -> None:
    port = free_port()
    make = start(home, port, command=["make", "--no-print-directory", "demo", f"PYTHON={sys.executable}"])
    try:
        assert set(await links(make)) == {"Scheduler", "Expert", "Patient"}
        assert await end(make) == -signal.SIGTERM
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=2)
    finally:
        make.kill()


@pytest.mark.timeout(300)
async def test_two_demonstrations_run_side_by_side_but_not_in_one_home(home: Path) -> None:
    first, second = start(home, free_port()), start(home.with_name("other home"), free_port())
    try:
        both = await asyncio.gather(links(first), links(second))
        assert both[0]["Expert"].partition("#")[0] != both[1]["Expert"].partition("#")[0]
        third = start(home, free_port())
        out, err = await asyncio.to_thread(third.communicate, None, START_WITHIN_S)
        assert third.returncode == 2
        assert out == ""
        assert str(home) in err
        assert [await end(first), await end(second, signal.SIGINT)] == [0, 0]
    finally:
        for process in (first, second):
            process.kill()
