"""Runs one server in a process of its own under load, and measures it: CPU, memory, what arrived, what was recorded.

CPU seconds of a noisy machine mean little, so a fixed loop runs beside them: `norm` is what they would be on a machine
where that loop takes 34 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import ifaddr
import psutil

from consult.load_test.traffic import Traffic, percentile
from tests.bench import janus
from tests.bench.calibration import LOOP_MS, calibrating
from tests.bench.joining import ConsultJoining, JanusJoining, Joining, Load, NaiveJoining

ServerName = Literal["consult", "janus", "naive"]

START_LIMIT_S = 30.0
STOP_LIMIT_S = 90.0
SETTLE_S = 4.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One server under one load.

    cpu_s: CPU seconds per consultation-minute, norm_s the same on the machine where the loop takes 34 ms. loop_ms: what
    it took meanwhile. lost of expected frames. p50_ms, p99_ms: from sending to arrival at the receiver's socket.
    rss_mb: per consultation, over the idle server. late_ms: how late the load was sent, the worst in a hundred.
    load_cpu: of one core, what the load took.
    """

    server: str
    consultations: int
    participants: int
    loss: float
    seconds: float
    cpu_s: float
    norm_s: float
    loop_ms: float
    expected: int
    lost: int
    p50_ms: float
    p99_ms: float
    rss_mb: float
    late_ms: float
    load_cpu: float
    packets_per_s: float
    unsent: int

    @property
    def per_core(self) -> float:
        return 60 / self.norm_s


def own_address() -> str:
    """Return an IPv4 address of this machine that is not the loopback; the loopback where there is no other."""
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str) and not ip.ip.startswith(("127.", "169.254.")):
                return ip.ip
    return "127.0.0.1"


async def measure(
    server: ServerName,
    load: Load,
    folder: Path,
    *,
    consultations: int,
    seconds: float,
    participants: int = 2,
) -> Measured:
    """Run one server under load for a while. What it recorded is in folder afterwards."""
    folder.mkdir(parents=True)
    as_many_as_it_takes = aiohttp.TCPConnector(limit=0)
    async with (
        running(server, folder, load.host) as (process, port),
        aiohttp.ClientSession(connector=as_many_as_it_takes) as http,
    ):
        idle_bytes = process.memory_info().rss
        joining = await _joining(server, load, folder, http, port)
        for number in range(consultations):
            await joining.join(number, participants)
        traffic = Traffic(joining.callers)
        async with traffic.flowing(), calibrating() as loops:
            await asyncio.sleep(SETTLE_S)
            usage = _Usage(process)
            count, usage_ended = await asyncio.gather(traffic.count(seconds), _usage_after(process, seconds))
            loop_ms = loops.mean_ms(usage.at_s, usage_ended.at_s)
        await joining.leave()
    lasted_s = usage_ended.at_s - usage.at_s
    cpu_s = (usage_ended.cpu_s - usage.cpu_s) / lasted_s * 60 / consultations
    return Measured(
        server=server,
        consultations=consultations,
        participants=participants,
        loss=load.loss,
        seconds=round(lasted_s, 2),
        cpu_s=cpu_s,
        norm_s=cpu_s * LOOP_MS / loop_ms,
        loop_ms=loop_ms,
        expected=count.expected,
        lost=count.lost,
        p50_ms=percentile(count.latencies_ms, 0.5),
        p99_ms=percentile(count.latencies_ms, 0.99),
        rss_mb=(usage_ended.rss_bytes - idle_bytes) / 1e6 / consultations,
        late_ms=count.late_ms,
        load_cpu=(usage_ended.own_s - usage.own_s) / lasted_s,
        packets_per_s=count.packets_sent / count.seconds,
        unsent=count.unsent,
    )


class _Usage:
    """CPU seconds and memory of a server, and CPU seconds of the load, at an instant."""

    def __init__(self, process: psutil.Process) -> None:
        self.at_s = time.monotonic()
        times = process.cpu_times()
        self.cpu_s = times.user + times.system
        self.rss_bytes = process.memory_info().rss
        self.own_s = time.process_time()


async def _usage_after(process: psutil.Process, seconds: float) -> _Usage:
    await asyncio.sleep(seconds)
    return _Usage(process)


async def _joining(server: ServerName, load: Load, folder: Path, http: aiohttp.ClientSession, port: int) -> Joining:
    match server:
        case "consult":
            return ConsultJoining(load, http, port)
        case "naive":
            return NaiveJoining(load, http, port)
        case "janus":
            return JanusJoining(load, await janus.Janus.open(http, port), folder)


@contextlib.asynccontextmanager
async def running(server: ServerName, folder: Path, host: str) -> AsyncIterator[tuple[psutil.Process, int]]:
    """Run a server; yield its process and the TCP port of its signalling on the loopback."""
    port = janus.free_port()
    command = (
        janus.command(folder, host, port)
        if server == "janus"
        else [sys.executable, "-m", "tests.bench.servers", server, str(folder), host]
    )
    with (folder / "server.log").open("wb") as log:
        output = log if server == "janus" else subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=log)
    try:
        async with asyncio.timeout(START_LIMIT_S):
            if process.stdout is not None:
                port = int(await process.stdout.readline())
            await _wait_for_port(port)
        yield psutil.Process(process.pid), port
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_LIMIT_S):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _wait_for_port(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
