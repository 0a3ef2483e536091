"""Reception: what a receiver report says of one track (RFC 3550 §6.4.1): what came, what is missing, how evenly."""

from __future__ import annotations

import struct

from signaling import rtcp
from signaling.compiled import Passed, Shared
from signaling.guard import Kind
from signaling.rtp import AUDIO_CLOCK_HZ, VIDEO_CLOCK_HZ

# C's arrivals: khz, jitter, transit, timestamp, begun
_write_arrivals = struct.Struct("@dddII").pack_into
_read_arrivals = struct.Struct("@8xddI").unpack_from


class Reception:
    """What a receiver report says (RFC 3550 §6.4.1 and A.8)."""

    def __init__(self, kind: Kind, first: int = 0) -> None:
        self._first = first
        self.received = 0
        self._reported_expected = self._reported_received = 0
        self.arrivals = Arrivals(kind)
        self._last_report = 0
        self._last_report_ms = 0.0

    def take_report(self, report: rtcp.SenderReport, now_ms: float) -> None:
        self._last_report = report.ntp >> 16 & 0xFFFFFFFF
        self._last_report_ms = now_ms

    def report(self, ssrc: int, highest: int, now_ms: float) -> rtcp.Reception:
        expected = highest - self._first + 1
        due, came = expected - self._reported_expected, self.received - self._reported_received
        self._reported_expected, self._reported_received = expected, self.received
        return rtcp.Reception(
            ssrc=ssrc,
            fraction_lost=max(0, due - came) * 255 // due if due > 0 else 0,
            packets_lost=max(0, expected - self.received),
            highest_sequence=highest,
            jitter=int(self.arrivals.jitter),
            last_report=self._last_report,
            delay_since_report=round((now_ms - self._last_report_ms) * 65.536) if self._last_report else 0,
        )


class Arrivals:
    """How evenly a track's packets arrive (RFC 3550 A.8). jitter: in units of its timestamps."""

    def __init__(self, kind: Kind) -> None:
        self.jitter = 0.0
        self._khz = (AUDIO_CLOCK_HZ if kind == "audio" else VIDEO_CLOCK_HZ) / 1000
        self._transit: float | None = None
        self._timestamp = -1
        self._short: Shared | None = None

    def note(self, timestamp: int, arrived_ms: float) -> None:
        """Of packets of one timestamp the first counts."""
        if timestamp == self._timestamp:
            return
        transit = arrived_ms * self._khz - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference < 1 << 20:  # not across a wrap-around of timestamps
                self.jitter += (difference - self.jitter) / 16
        self._timestamp, self._transit = timestamp, transit

    def note_passed(self, passed: Passed) -> None:
        """The same for what passed on the short way."""
        short = self._short = self._short or Shared("arrivals", "clocks_note")
        begun = self._transit is not None
        timestamp = self._timestamp & 0xFFFFFFFF
        _write_arrivals(short.memory, 0, self._khz, self.jitter, self._transit or 0.0, timestamp, begun)
        short.call(passed.records, passed.run_count)
        self.jitter, self._transit, self._timestamp = _read_arrivals(short.memory)
