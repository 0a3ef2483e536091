"""How much of the processors something takes that is not part of a measurement."""

from __future__ import annotations

import os
import time

import psutil


class Others:
    """From its making on: who is neither this process, nor what it started and waited for, nor its server."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._since = self._read()

    def share(self) -> float:
        """Return how much of all processors others took, from 0 to 1; ticks of the clock make it a hundredth wrong."""
        began, taken = self._since
        now, taken_now = self._read()
        return max(0.0, (taken_now - taken) / (now - began) / psutil.cpu_count())

    def _read(self) -> tuple[float, float]:
        """Return the time, and the CPU seconds that others took until then."""
        all_of_them = psutil.cpu_times()
        busy = (
            sum(all_of_them) - all_of_them.idle - getattr(all_of_them, "iowait", 0) - getattr(all_of_them, "guest", 0)
        )
        server = self._server.cpu_times()
        ours = sum(os.times()[:4]) + sum(server[:4])
        for backend in self._server.children():
            try:
                ours += sum(backend.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue  # it ended just now, and the server counts it
        return time.perf_counter(), busy - ours
