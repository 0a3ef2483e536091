"""How much picture a member's line carries, each way. Sound is never limited: pictures are, so that sound never waits.

Owns two estimates in bit/s of pictures' payload. Upward we judge by ourselves: sound that arrives later and later waits
in a queue, and the pictures fill it. Downward the browser judges (REMB), and we know what its word is worth: it never
says much more than it was sent. No I/O; instants are ms of any clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from signaling.clocks import QuickestArrival

MAX_BPS: Final = 2_500_000
MIN_BPS: Final = 80_000
FIRST_BPS: Final = 500_000  # before anything is known; that much too much for the weakest lines, but not for long
MEASURE_MS: Final = 200  # measure() is called about this often

QUEUE_MS: Final = 100  # sound that waits longer is in a queue
CALM_MS: Final = 40
PICTURES_FACTOR: Final = 2.5  # a browser spreads a large picture over time: that is no queue yet
DRAINING: Final = 0.9  # a queue that is this much shorter than before needs nothing more
SETTLE_MS: Final = 900  # until a lowered limit shows: a round trip, the encoder, the queue
FRESH_MS: Final = 1_500
JUMP_MS: Final = 5_000
REMEMBERED_MS: Final = 60_000  # for so long a line that was full is tried with care

FAST_GROWTH: Final = 2.0  # a second, before the line was ever full
GROWTH: Final = 1.08
NEAR_GROWTH: Final = 1.03  # around what was too much the last time
HEADROOM: Final = 1.5  # a careful limit beyond what is really sent, and
HEADROOM_BPS: Final = 100_000

HEAVY_LOSS: Final = 26  # of 256: 10 %; less is a bad line, not a full one
CALM_AFTER_MS: Final = 3_000  # a viewer's limit that nothing confirms for so long may grow
JAMMED_MS: Final = 3_000  # so long after pictures waited on their way to us, they reach the next one unevenly


class Throughput:
    """bit/s over the last second, from a counter of octets."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque(maxlen=1_000 // MEASURE_MS + 1)

    def read(self, octets: int, now_ms: float) -> None:
        self._readings.append((now_ms, octets))

    @property
    def bps(self) -> float:
        if len(self._readings) < 2:
            return 0.0
        (began_ms, first), (ended_ms, last) = self._readings[0], self._readings[-1]
        return (last - first) * 8000 / max(1.0, ended_ms - began_ms)


class Queue:
    """How long a track's packets wait on their way, ms: the least of the last readings, against the quickest ever seen.

    The least, since one packet in time proves that there is no queue; a busy machine delays some, never all.
    """

    def __init__(self) -> None:
        self._quickest = QuickestArrival(window_ms=10_000, windows=6)
        self._recent: deque[float] = deque(maxlen=3)
        self._read_ms = float("-inf")
        self._lag_ms: float | None = None

    def read(self, lag_ms: float | None, now_ms: float) -> None:
        """lag_ms: arrival minus media time of the newest packet. The same one again is no news."""
        if lag_ms is None or lag_ms == self._lag_ms:
            return
        if self._lag_ms is not None and abs(lag_ms - self._lag_ms) > JUMP_MS:
            self._quickest = QuickestArrival(window_ms=10_000, windows=6)
            self._recent.clear()
        self._lag_ms, self._read_ms = lag_ms, now_ms
        self._quickest.note(lag_ms, now_ms)
        self._recent.append(lag_ms)

    def wait_ms(self, now_ms: float) -> float | None:
        """Return None if nothing came lately."""
        if now_ms - self._read_ms > FRESH_MS or len(self._recent) < 3 or self._quickest.lag_ms is None:
            return None
        return min(self._recent) - self._quickest.lag_ms


class UpwardLine:
    """From a member to us. limit_bps: for all their pictures together. jammed_ms: when something last waited there."""

    def __init__(self) -> None:
        self.limit_bps = float(FIRST_BPS)
        self.jammed_ms = float("-inf")
        self._sound, self._pictures = Queue(), Queue()
        self._sound_rate, self._pictures_rate = Throughput(), Throughput()
        self._measured_ms: float | None = None
        self._lowered_ms = float("-inf")
        self._lowered_wait_ms = 0.0
        self._too_much_bps = float("inf")
        self._drained_bps = 0.0  # what to go on with once the queue has drained

    def measure(
        self, now_ms: float, *, sound_lag_ms: float | None, pictures_lag_ms: float | None, sound: int, pictures: int
    ) -> None:
        """sound, pictures: octets received so far."""
        step_s = 0.0 if self._measured_ms is None else min(1.0, (now_ms - self._measured_ms) / 1000)
        self._measured_ms = now_ms
        self._sound.read(sound_lag_ms, now_ms)
        self._pictures.read(pictures_lag_ms, now_ms)
        self._sound_rate.read(sound, now_ms)
        self._pictures_rate.read(pictures, now_ms)
        wait_ms = self._wait_ms(now_ms)
        if wait_ms is not None and wait_ms > CALM_MS:
            self.jammed_ms = now_ms
        if wait_ms is None or now_ms - self._lowered_ms < SETTLE_MS:
            return
        if wait_ms > QUEUE_MS:
            if wait_ms > DRAINING * self._lowered_wait_ms:
                self._lower(wait_ms, now_ms)
            self._lowered_wait_ms = wait_ms
        elif wait_ms < CALM_MS:
            self._lowered_wait_ms = 0.0
            self._raise(step_s, now_ms)

    def _wait_ms(self, now_ms: float) -> float | None:
        wait_ms = self._sound.wait_ms(now_ms)
        if wait_ms is not None:
            return wait_ms
        wait_ms = self._pictures.wait_ms(now_ms)
        return None if wait_ms is None else wait_ms / PICTURES_FACTOR

    def _lower(self, wait_ms: float, now_ms: float) -> None:
        """Below what the line carries, the more the longer the queue is that has to drain first."""
        sound_bps = self._sound_rate.bps
        carried_bps = min(self.limit_bps, self._pictures_rate.bps) + sound_bps
        share = max(0.6, 0.9 - wait_ms / 2_500)
        self.limit_bps = max(float(MIN_BPS), carried_bps * share - sound_bps)
        self._lowered_ms = now_ms
        if not self._lowered_wait_ms:  # else the same queue still drains, and what comes through is less than could
            self._too_much_bps = carried_bps - sound_bps
            self._drained_bps = carried_bps * 0.85 - sound_bps

    def _raise(self, step_s: float, now_ms: float) -> None:
        if self._too_much_bps == float("inf"):
            self.limit_bps = min(float(MAX_BPS), self.limit_bps * FAST_GROWTH**step_s)
            return
        self.limit_bps = max(self.limit_bps, self._drained_bps)
        near = 0.85 < self.limit_bps / max(1.0, self._too_much_bps) < 1.1
        limit_bps = self.limit_bps * (NEAR_GROWTH if near else GROWTH) ** step_s
        if now_ms - self._lowered_ms < REMEMBERED_MS:
            limit_bps = min(limit_bps, max(self.limit_bps, self._pictures_rate.bps * HEADROOM + HEADROOM_BPS))
        self.limit_bps = min(float(MAX_BPS), limit_bps)


class DownwardLine:
    """From us to a member. limit_bps: for all pictures that they are sent together.

    A browser's estimate stays within 1.5 times of what it is sent, so a sender who sends little (a quiet picture) would
    be held down for ever by an estimate that was taken as a limit. It is one only if it is below what is being sent.
    And it takes what waited on its way to us for a queue on its own line, so then it is not heeded.
    """

    def __init__(self) -> None:
        self.limit_bps = float(FIRST_BPS)
        self._rate = Throughput()
        self._measured_ms: float | None = None
        self._lowered_ms = float("-inf")
        self._loss_heeded_ms = float("-inf")

    def measure(self, now_ms: float, pictures: int) -> None:
        """pictures: octets sent so far."""
        step_s = 0.0 if self._measured_ms is None else min(1.0, (now_ms - self._measured_ms) / 1000)
        self._measured_ms = now_ms
        self._rate.read(pictures, now_ms)
        if now_ms - self._lowered_ms < CALM_AFTER_MS:
            return
        limit_bps = self.limit_bps * GROWTH**step_s
        if now_ms - self._lowered_ms < REMEMBERED_MS:
            limit_bps = min(limit_bps, max(self.limit_bps, self._rate.bps * HEADROOM + HEADROOM_BPS))
        self.limit_bps = min(float(MAX_BPS), limit_bps)

    def take_estimate(self, estimate_bps: int, now_ms: float, *, jammed_ms: float = float("-inf")) -> None:
        """What the browser thinks that it can take (REMB); browsers leave sound out of it.

        jammed_ms: when the line of somebody whose pictures it gets was last jammed.
        """
        if estimate_bps < 0.95 * self._rate.bps:
            if now_ms - jammed_ms > JAMMED_MS:
                self._lower(estimate_bps, now_ms)
        else:
            self.limit_bps = min(float(MAX_BPS), max(self.limit_bps, estimate_bps))

    def take_loss(self, fraction: int, now_ms: float) -> None:
        """fraction: of what we sent, in 1/256. A line may drop what is too much and have no queue that shows."""
        if fraction >= HEAVY_LOSS and now_ms - self._loss_heeded_ms > SETTLE_MS:
            self._loss_heeded_ms = now_ms
            self._lower(0.95 * self._rate.bps * (1 - fraction / 256), now_ms)

    def _lower(self, limit_bps: float, now_ms: float) -> None:
        self.limit_bps = max(float(MIN_BPS), min(self.limit_bps, limit_bps))
        self._lowered_ms = now_ms
