"""The processes of an installation with Redis: each starts, does its part and ends when asked to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.browser.processes import free_ports
from tests.conftest import SECRET, free_port

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 150


def start(command: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen([sys.executable, "-m", "consult", command], cwd=ROOT, env=environment, stderr=out)


async def until_ready(url: str) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(url, timeout=aiohttp.ClientTimeout(2)) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            assert time.monotonic() < deadline, url
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_web_media_and_worker_start_and_end(database_url: str, redis_url: str, tmp_path: Path) -> None:
    web_port, media_port = free_port(), free_ports(2)
    common = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": f"http://127.0.0.1:{web_port}",
        "CONSULT_HOME": str(tmp_path / "home"),
    }
    log = tmp_path / "log"
    media = common | {
        "PORT": str(media_port),
        "MEDIA_NODE": f"http://127.0.0.1:{media_port}",
        "MEDIA_PROCESSES": "2",
    }
    processes = [
        start("web", common | {"PORT": str(web_port)}, log),
        start("media", media, log),
        start("worker", common, log),
    ]
    try:
        await until_ready(f"http://127.0.0.1:{web_port}/readyz")
        for port in (media_port, media_port + 1):
            await until_ready(f"http://127.0.0.1:{port}/healthz")
            await until_ready(f"http://127.0.0.1:{port}/readyz")
        headers = {"Origin": "https://evil.example"}
        async with aiohttp.ClientSession(headers=headers) as client:
            for port in (web_port, media_port, media_port + 1):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await client.ws_connect(f"http://127.0.0.1:{port}/socket")
                assert refused.value.status == 403
        assert all(process.poll() is None for process in processes), log.read_text()
    finally:
        for process in processes:
            process.terminate()
        codes = [await asyncio.to_thread(process.wait, 30) for process in processes]
    assert codes == [0, 0, 0], log.read_text()
    assert "library" not in log.read_text(), log.read_text()


def test_media_without_redis_says_what_is_missing(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://nobody@localhost/none",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": "http://localhost:8080",
    }
    command = [sys.executable, "-m", "consult", "media"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "REDIS_URL and MEDIA_NODE should be set" in done.stderr


def test_media_with_fewer_ports_than_processes_says_so(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "postgresql://nobody@localhost/none",
        "REDIS_URL": "redis://localhost:1/0",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": "http://localhost:8080",
        "MEDIA_NODE": "http://127.0.0.1:8090",
        "MEDIA_PROCESSES": "3",
        "MEDIA_PORTS": "50000-50001",
    }
    command = [sys.executable, "-m", "consult", "media"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 2
    assert "MEDIA_PORTS should have a port for each process" in done.stderr


def test_help_names_every_command() -> None:
    command = [sys.executable, "-m", "consult", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    for name in ("demo", "web", "media", "worker", "migrate", "create-staff", "load-test", "check-settings"):
        assert f"\n  {name} " in shown
