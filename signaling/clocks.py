"""From RTP timestamps to the room's clock.

Each track has its own timestamps with a random start; each sender its own clock. A track is placed by the arrival of
its packets (the quickest of the last seconds, so that a slow packet moves nothing). Sender reports tie sound and
picture of one member to that member's clock, so that both move together from then on; but nothing is ever placed later
than its own quickest arrival, so that a report that was stamped late by a busy sender moves nothing either.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque

from signaling.compiled import Passed, Shared
from signaling.rtp import AUDIO_CLOCK_HZ, extend

WINDOW_MS = 5_000
WINDOWS = 3
JUMP_MS = 5_000  # a mapping this far off means that the sender began anew
START_MS = 300  # a track that just began jumps to where it belongs: its first packets are often late
REPORTS = 8
SOUND_SLEW = 0.25  # how much a correction may stretch or squeeze time, so that no sound is cut off
PICTURE_SLEW = 1.0  # pictures may stand still or hurry
MOST_BEFORE_ARRIVAL_MS = 2_000  # longer than a browser holds pictures back; a report that claims more is not heeded

_NTP_FRACTION = 1 << 32

# C's pace: latest, khz, offset_ms, window_lag_ms, window_ends_ms, most_lag_ms, lag_ms, placed_ms, placed
_write_pace = struct.Struct("@qdddddddI").pack_into
_read_pace = struct.Struct("@q40xddI").unpack_from


class QuickestArrival:
    """The smallest difference between arrival and media time of the last seconds."""

    def __init__(self, *, window_ms: int = WINDOW_MS, windows: int = WINDOWS) -> None:
        self._window_ms = window_ms
        self._windows: deque[float] = deque(maxlen=windows)
        self.window_ends_ms = 0.0
        self.window_lag_ms = float("inf")  # only what is less, or comes later than the window's end, needs to be noted
        self.lag_ms: float | None = None

    def note(self, lag_ms: float, arrived_ms: float) -> None:
        if arrived_ms >= self.window_ends_ms or not self._windows:
            self.window_ends_ms = arrived_ms + self._window_ms
            self._windows.append(lag_ms)
        elif lag_ms < self.window_lag_ms:
            self._windows[-1] = lag_ms
        else:
            return
        self.window_lag_ms = lag_ms
        self.lag_ms = min(self._windows)


class MemberClock:
    """One member's own clock (as told by sender reports) against the room's. Shared by the member's tracks."""

    def __init__(self) -> None:
        self._quickest = QuickestArrival()

    @property
    def offset_ms(self) -> float | None:
        """Room time minus member time, if known."""
        return self._quickest.lag_ms

    def note(self, member_ms: float, arrived_ms: float) -> None:
        """Take the instant at which a report was sent, by the member's clock, and when it arrived here."""
        self._quickest.note(arrived_ms - member_ms, arrived_ms)


class TrackClock:
    """Maps the timestamps of one track to ms on the room's clock.

    lag_ms: arrival minus media time of the newest packet; only its changes mean anything.
    """

    def __init__(self, clock_hz: int, member: MemberClock) -> None:
        self.lag_ms: float | None = None
        self._khz = clock_hz / 1000
        self._slew = SOUND_SLEW if clock_hz == AUDIO_CLOCK_HZ else PICTURE_SLEW
        self._member = member
        self._quickest = QuickestArrival()
        self._latest = -1  # extended timestamp
        self._placed = (-1, 0.0)  # the last timestamp, and where it belongs
        self._offset_ms = 0.0  # room time minus media time
        self._began_ms = 0.0
        self._member_shift_ms: float | None = None  # member time minus media time
        self._shifts_ms: deque[float] = deque(maxlen=REPORTS)
        self._pace: Shared | None = None  # for what comes the short way

    def place_next(self, timestamp: int, arrived_ms: float) -> float:
        """Return where a packet that just arrived belongs, in ms on the room's clock.

        Of a timestamp the first counts.
        """
        if timestamp != self._placed[0]:
            self._placed = timestamp, self.place(timestamp, arrived_ms)
        return self._placed[1]

    def place_passed(self, passed: Passed) -> array[float]:
        """Return the same of what passed the short way, for each run."""
        count = passed.run_count
        places_ms = array("d", bytes(8 * count))
        done = 0
        while True:
            if self._latest >= 0 and self._target_ms() == self._offset_ms:
                done = self._place_shortly(passed, done, places_ms)
            if done == count:
                return places_ms
            places_ms[done] = self.place_next(*passed.moment(done))
            done += 1

    def _place_shortly(self, passed: Passed, first: int, places_ms: array[float]) -> int:
        """Place what nothing is learnt from; return what comes behind it."""
        if self._pace is None:
            self._pace = Shared("pace", "clocks_place")
        quickest, pace = self._quickest, self._pace
        _write_pace(
            pace.memory, 0, self._latest, self._khz, self._offset_ms, quickest.window_lag_ms, quickest.window_ends_ms,
            self._offset_ms + JUMP_MS, self.lag_ms or 0.0, self._placed[1], self._placed[0] & 0xFFFFFFFF,
        )  # fmt: skip
        done: int = pace.call(passed.records, first, len(places_ms), places_ms.buffer_info()[0])
        latest, lag_ms, placed_ms, placed = _read_pace(pace.memory)
        if latest != self._latest:
            self._latest, self.lag_ms, self._placed = latest, lag_ms, (placed, placed_ms)
        return done

    def place(self, timestamp: int, arrived_ms: float) -> float:
        """Return where a packet that just arrived belongs, in ms on the room's clock."""
        if self._latest < 0:
            self._latest = timestamp + (1 << 32)
            self._begin_anew(arrived_ms - self._latest / self._khz, arrived_ms)
        distance = (timestamp - self._latest) & 0xFFFFFFFF
        extended = self._latest + (distance if distance < 1 << 31 else distance - (1 << 32))  # as extend() does
        media_ms = extended / self._khz
        lag_ms = arrived_ms - media_ms
        if not -JUMP_MS <= lag_ms - self._offset_ms <= JUMP_MS:
            self._begin_anew(lag_ms, arrived_ms)
        quickest = self._quickest
        if lag_ms < quickest.window_lag_ms or arrived_ms >= quickest.window_ends_ms:
            quickest.note(lag_ms, arrived_ms)
        if extended > self._latest:
            target_ms = self._target_ms()
            if target_ms != self._offset_ms:
                self._follow(target_ms, (extended - self._latest) / self._khz, arrived_ms)
            self._latest = extended
            self.lag_ms = lag_ms
        return media_ms + self._offset_ms

    def tie(self, ntp: int, rtp_timestamp: int, arrived_ms: float) -> None:
        """Take a sender report: the member's clock showed `ntp` (32.32 s) at `rtp_timestamp`.

        Some senders stamp a packet when it leaves, late if they are busy: the earliest of the last reports is nearest.
        """
        if self._latest < 0:
            return
        member_ms = ntp * 1000 / _NTP_FRACTION
        self._member.note(member_ms, arrived_ms)
        self._shifts_ms.append(member_ms - extend(rtp_timestamp, self._latest, 32) / self._khz)
        self._member_shift_ms = min(self._shifts_ms)

    def timestamp_at(self, room_ms: float) -> int | None:
        """Return the timestamp that belongs to an instant, None before the first packet."""
        if self._latest < 0:
            return None
        return round((room_ms - self._offset_ms) * self._khz) & 0xFFFFFFFF

    def _begin_anew(self, lag_ms: float, arrived_ms: float) -> None:
        self._offset_ms = lag_ms
        self._quickest = QuickestArrival()
        self._began_ms = arrived_ms
        self._member_shift_ms = None
        self._shifts_ms.clear()

    def _follow(self, target_ms: float, elapsed_ms: float, arrived_ms: float) -> None:
        correction_ms = target_ms - self._offset_ms
        if arrived_ms - self._began_ms > START_MS:
            most_ms = elapsed_ms * self._slew
            correction_ms = max(-most_ms, min(most_ms, correction_ms))
        self._offset_ms += correction_ms

    def _target_ms(self) -> float:
        by_arrival_ms, member_ms = self._quickest.lag_ms, self._member.offset_ms
        if by_arrival_ms is None:
            return self._offset_ms
        if self._member_shift_ms is None or member_ms is None:
            return by_arrival_ms
        tied_ms = self._member_shift_ms + member_ms
        return tied_ms if 0 <= by_arrival_ms - tied_ms <= MOST_BEFORE_ARRIVAL_MS else by_arrival_ms
