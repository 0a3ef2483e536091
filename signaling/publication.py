"""Publication: one track that a member sends us.

Owns the order of its packets, the history that retransmissions come from, what is asked of the sender (packets again,
keyframes) and the figures for receiver reports. It hands each packet, once, to its subscriptions and to the recorder.

Where there is a short way (compiled.py), ordinary packets take it and are looked at later, some together (catch_up).
A packet is ordinary if it is the next and the same is to be done with it as with the one before. So whatever changes
what is done closes the short way first (hold_up); the next packet comes through receive(), which decides whether those
behind it are ordinary again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from signaling import rtcp
from signaling.clocks import TrackClock
from signaling.codecs import CodecName, starts_keyframe
from signaling.compiled import MAX_SINKS, Passed, ShortTrack, Taken
from signaling.guard import Kind
from signaling.reception import Reception
from signaling.rtp import Packet, Run, extend

if TYPE_CHECKING:
    from signaling.subscription import Subscription

HISTORY_PACKETS: Final = 512  # of video; 2.5 Mbit/s for 2 s
HISTORY_AUDIO_PACKETS: Final = 128
HISTORY_MS: Final = 1_500  # what is older helps nobody who listens live
HISTORY_BYTES: Final = 384 << 10  # on the short way: 2 Mbit/s for 1.5 s
HISTORY_AUDIO_BYTES: Final = 32 << 10
KEYFRAME_INTERVAL_MS: Final = 300
ANSWER_MS: Final = 150  # between asking for a packet and its arrival, before any came
OVERTAKEN_MS: Final = 20  # what comes sooner after it was asked for had only been overtaken
SHORTEST_WAIT_MS, LONGEST_WAIT_MS = 80, 1_000  # between asking for a packet and asking again
MAX_NACKS: Final = 8
MISSED_MS: Final = 2_500  # older packets are not waited for
MAX_GAP_PACKETS: Final = 256  # a larger gap is no loss but a new beginning
MAX_MISSING_PACKETS: Final = 512  # a sender that leaves more gaps than that gets a request for a keyframe instead

_TAKEN: Final[dict[CodecName, Taken]] = {"opus": Taken.SOUND, "vp8": Taken.VP8, "h264": Taken.PACKETS}

Heard = Packet | Passed
Tap = Callable[[Heard, "array[float]"], None]  # and the places on the room's clock of the packet, or of the runs, ms


class Publication:
    """codec: what the sender was told. our_ssrc: what we call ourselves in RTCP towards the sender.

    short: the short way for its packets, if there is one.
    """

    def __init__(
        self,
        kind: Kind,
        clock: TrackClock,
        *,
        codec: CodecName,
        our_ssrc: int,
        nacks: bool,
        send_rtcp: Callable[[bytes], None],
        short: ShortTrack | None = None,
    ) -> None:
        self.short = short
        self.kind = kind
        self.codec = codec
        self.clock = clock
        self.subscriptions: list[Subscription] = []
        self._tap: Tap | None = None
        self.ssrc: int | None = None
        self.wants_keyframe = False
        self.octets = 0  # of payload, received
        self.lost_fraction = 0  # in the last receiver report: 1/256
        self.jammed_ms = float("-inf")  # when packets last waited in a queue on their way to us
        self._silent = False
        self._our_ssrc = our_ssrc
        self._nacks = nacks
        self._send_rtcp = send_rtcp
        self._size = HISTORY_PACKETS if kind == "video" else HISTORY_AUDIO_PACKETS
        self._history: list[Packet | None] = [None] * self._size if short is None else []
        self._oldest = 0  # what came before it is not in the history any more
        self._highest = 0
        self._missing: dict[int, _Missing] = {}
        self._answer_ms = float(ANSWER_MS)  # how long repetitions take, by and by
        self._keyframe_asked_ms = float("-inf")
        self._timestamp = -1  # of the last packet, and its place on the room's clock
        self._room_ms = 0.0
        self._reception = Reception(kind)

    def receive(
        self, ssrc: int, sequence: int, timestamp: int, marker: bool, payload: bytes, arrived_ms: float
    ) -> None:
        """Take one packet, with its own or an RTX's payload."""
        short = self.short
        if short is not None:
            self.hold_up()
        if ssrc != self.ssrc:
            self._begin(ssrc, sequence)
        extended = self._highest + 1
        if sequence == extended & 0xFFFF:
            self._highest = extended
        else:
            extended = extend(sequence, self._highest, 16)
            if extended < max(self._oldest, self._highest - self._size + 1) or self._has_seen(extended):
                return
            self._note_gap(extended, arrived_ms)
        self.octets += len(payload)
        self._reception.received += 1
        if timestamp != self._timestamp:  # of one picture the first packet tells all about time
            self._timestamp = timestamp
            self._reception.arrivals.note(timestamp, arrived_ms)
            self._room_ms = self.clock.place_next(timestamp, arrived_ms)
        if self.wants_keyframe and starts_keyframe(self.codec, payload):
            self.wants_keyframe = False
        packet = Packet(extended, timestamp, marker, payload, arrived_ms)
        if short is None:
            self._history[extended % self._size] = packet
        else:
            short.keep(packet)
        if self._silent:
            return
        for subscription in self.subscriptions:
            subscription.forward(packet)
        if self._tap is not None:
            self._tap(packet, array("d", (self._room_ms,)))
        if short is not None:
            self._let_pass(short)

    @property
    def tap(self) -> Tap | None:
        """Gets each packet and its place on the room's clock: the recorder's."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self.catch_up()
        self._tap = tap

    def hold_up(self) -> None:
        """Before something changes: what passed is dealt with, and the next packet comes to receive()."""
        self.catch_up()
        if self.short is not None:
            self.short.close()

    def catch_up(self) -> None:
        """Deal with what passed on the short way, as receive() does."""
        short = self.short
        if short is None or not short.has_news:
            return
        tap = self._tap
        what = _TAKEN[self.codec] if tap is not None or self.wants_keyframe else Taken.TIMES
        for passed in short.take(what):
            self._reception.arrivals.note_passed(passed)
            places_ms = self.clock.place_passed(passed)
            self._timestamp, self._room_ms = passed.moment(passed.run_count - 1)[0], places_ms[-1]
            if self.wants_keyframe and any(map(self._begins_keyframe, passed.runs())):
                self.wants_keyframe = False
            if tap is not None:
                tap(passed, places_ms)
        self._highest, packets, octets = short.read_counts()
        self._reception.received += packets
        self.octets += octets
        for subscription in self.subscriptions:
            subscription.catch_up()

    def _begins_keyframe(self, run: Run) -> bool:
        if run.frame is not None:
            return not run.frame[0] & 0x01  # as vp8.starts_keyframe; of sound no keyframe is wanted
        return any(starts_keyframe(self.codec, payload) for payload in run.payloads)

    def _let_pass(self, short: ShortTrack) -> None:
        """Let the packets behind this one take the short way, if they will be ordinary."""
        if self._silent or self.ssrc is None or len(self.subscriptions) > MAX_SINKS:
            return
        sinks = [subscription.prepare_sink() for subscription in self.subscriptions]
        ready = [sink for sink in sinks if sink is not None]
        if len(ready) == len(sinks):
            short.let_pass(self.ssrc, self._highest, ready)

    def silence(self, on: bool) -> None:
        """Nobody gets a packet of it from now on, the recorder neither; or again, as if the sender started over."""
        self.hold_up()
        if self._silent and not on:
            self._oldest = self._highest + 1  # what was said in between is not taken when it is repeated later
        self._silent = on
        for subscription in self.subscriptions:
            subscription.begin_anew()

    def find(self, sequence: int) -> Packet | None:
        """Return a packet of the last seconds by its extended sequence number."""
        if self.short is not None:
            return self.short.find(sequence)
        packet = self._history[sequence % self._size]
        return packet if packet is not None and packet.sequence == sequence else None

    def _has_seen(self, sequence: int) -> bool:
        return self.find(sequence) is not None if self.short is None else self.short.has_seen(sequence)

    def take_report(self, report: rtcp.SenderReport, now_ms: float) -> None:
        if report.ssrc == self.ssrc:
            self.clock.tie(report.ntp, report.rtp_timestamp, now_ms)
            self._reception.take_report(report, now_ms)

    def request_keyframe(self, now_ms: float) -> None:
        """Ask the sender for a keyframe, not sooner again than one can come; asked again until one comes."""
        if self.kind != "video":
            return
        self.catch_up()
        self.wants_keyframe = True
        if self.ssrc is not None and now_ms - self._keyframe_asked_ms >= max(KEYFRAME_INTERVAL_MS, self._patience_ms):
            self._keyframe_asked_ms = now_ms
            self._send_rtcp(rtcp.write_keyframe_request(self._our_ssrc, self.ssrc))

    def tick(self, now_ms: float) -> None:
        """Repeat what was asked and not answered, forget old packets. Called every 100 ms or so."""
        if self.short is None:  # whose memory does not grow
            self._forget(now_ms - HISTORY_MS)
        if self.wants_keyframe:
            self.catch_up()  # with the keyframe, perhaps
        if self.wants_keyframe:
            self.request_keyframe(now_ms)
        if not self._missing or self.ssrc is None:
            return
        again = []
        asked_before_ms, missed_before_ms = now_ms - self._patience_ms, now_ms - MISSED_MS
        # Hundreds for each track of each call, if it is this machine that cannot keep up: most are looked at only.
        due = [item for item in self._missing.items() if item[1][1] <= asked_before_ms or item[1][0] < missed_before_ms]
        for sequence, (first_ms, _, times) in due:
            if times >= MAX_NACKS or first_ms < missed_before_ms:
                del self._missing[sequence]
                self.request_keyframe(now_ms)
            else:
                self._missing[sequence] = _Missing(first_ms, now_ms, times + 1)
                again.append(sequence)
        self._ask_again(again)

    @property
    def _patience_ms(self) -> float:
        """How long an answer may take. Who asks again sooner gets all twice, and a weak line carries it twice."""
        return min(LONGEST_WAIT_MS, max(SHORTEST_WAIT_MS, 1.4 * self._answer_ms))

    def report(self, now_ms: float) -> rtcp.Reception | None:
        """Return the figures since the last report, None before the first packet."""
        self.catch_up()
        if self.ssrc is None:
            return None
        report = self._reception.report(self.ssrc, self._highest, now_ms)
        self.lost_fraction = report.fraction_lost
        return report

    def _begin(self, ssrc: int, sequence: int) -> None:
        """A sender that starts over: numbers go on growing, so nobody mistakes the new packets for old ones."""
        self.ssrc = ssrc
        self._highest = ((self._highest >> 16) + 2 << 16 | sequence) - 1
        self._missing.clear()
        self._reception = Reception(self.kind, first=self._highest + 1)
        for subscription in self.subscriptions:
            subscription.begin_anew()

    def _forget(self, before_ms: float) -> None:
        """Packets are a megabyte a second and more for each picture in a process."""
        self._oldest = max(self._oldest, self._highest - self._size + 1)
        while self._oldest <= self._highest:
            packet = self._history[self._oldest % self._size]
            if packet is not None and packet.arrived_ms > before_ms:
                break
            self._history[self._oldest % self._size] = None
            self._oldest += 1

    def _note_gap(self, extended: int, now_ms: float) -> None:
        if extended < self._highest:
            self._note_answer(self._missing.pop(extended, None), now_ms)
            return
        lost = range(self._highest + 1, extended)
        self._highest = extended
        if len(lost) > MAX_GAP_PACKETS or len(self._missing) + len(lost) > MAX_MISSING_PACKETS:
            self._missing.clear()
            self.request_keyframe(now_ms)
        elif self._nacks:
            self._missing.update(dict.fromkeys(lost, _Missing(now_ms, now_ms, 1)))
            self._ask_again(list(lost))
        elif lost:
            self.request_keyframe(now_ms)

    def _note_answer(self, missing: _Missing | None, now_ms: float) -> None:
        """What was asked for twice may be the answer to the first time: only the longer way to count is safe."""
        if missing is not None and missing.times <= 2 and now_ms - missing.first_ms > OVERTAKEN_MS:
            self._answer_ms += (now_ms - missing.first_ms - self._answer_ms) / 4

    def _ask_again(self, sequences: list[int]) -> None:
        if sequences and self.ssrc is not None:
            lost = [sequence & 0xFFFF for sequence in sequences]
            self._send_rtcp(rtcp.write_nack(self._our_ssrc, self.ssrc, lost))


class _Missing(NamedTuple):
    """A packet that did not come: when it was asked for first and last, how often."""

    first_ms: float
    asked_ms: float
    times: int
