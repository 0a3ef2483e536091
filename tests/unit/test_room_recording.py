"""Recording: only while everybody present has said yes, and the host is there and wants it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signaling import events
from signaling import messages as wire
from signaling.effects import AcceptOffer, CloseMedia, CloseSocket, DropMedia, Effect, Send, SwitchRecording
from signaling.errors import SignalingError, VersionUnsupported
from signaling.recording_switch import RECORDS_WITHOUT_HOST_MS
from signaling.room import GRACE_MS
from signaling.roster import MAX_INSIDE, MAX_WAITING
from tests.unit.rooms import NO, WALL_MS, YES, Play, call, host_seat, recorded_call, seat


def test_everybody_is_asked_and_recording_begins_with_the_last_yes() -> None:
    play = call("patient")
    assert play.recording() == wire.Recording("asking", awaiting=("host", "patient"))
    play.say("host", YES)
    assert not play.recording_on
    play.say("patient", YES)
    assert play.of(SwitchRecording) == [SwitchRecording(True)]
    assert play.recording("patient").state == "on"
    assert play.told(events.ConsentGiven)[0].member_id == "patient"
    assert [one.state for one in play.told(events.RecordingSwitched)] == ["on"]


def test_a_newcomer_pauses_the_recording_before_they_are_welcomed() -> None:
    play = recorded_call("patient").admit(seat("guest"))
    kinds = [type(one.message) if isinstance(one, Send) and one.to == ("guest",) else type(one) for one in play.last]
    assert kinds.index(SwitchRecording) < kinds.index(wire.Welcome)
    assert play.sent("guest", wire.Welcome)[0].recording.awaiting == ("guest",)
    assert play.sent("patient", wire.RecordingChanged)[0].recording.state == "asking"
    assert [one.state for one in play.told(events.RecordingSwitched)] == ["paused"]
    play.say("guest", YES)
    assert play.recording_on


def test_a_withdrawal_stops_it_at_once_and_a_new_yes_goes_on() -> None:
    play = recorded_call("patient").say("patient", NO)
    assert SwitchRecording(False) in play.last
    assert play.recording() == wire.Recording("off", refused=("patient",))
    assert play.told(events.ConsentRefused)
    assert [one.state for one in play.told(events.RecordingSwitched)] == ["off"]
    play.say("patient", YES)
    assert play.recording_on


def test_the_same_answer_twice_is_no_news() -> None:
    assert recorded_call("patient").say("patient", YES).last == []


def test_a_yes_to_another_sentence_does_not_count_but_a_no_does() -> None:
    play = recorded_call("patient")
    with pytest.raises(VersionUnsupported):
        play.say("patient", wire.SetConsent(given=True, wording="recording-0"))
    play.say("patient", wire.SetConsent(given=False, wording="recording-0"))
    assert not play.recording_on


def test_somebody_who_consented_before_this_room_is_not_asked() -> None:
    play = Play().arrive(host_seat(consented=True))
    assert play.recording_on
    play.admit(seat("patient", consented=True))
    assert play.recording_on
    assert not play.of(SwitchRecording)


def test_what_was_said_in_the_room_counts_more_than_the_seat() -> None:
    play = recorded_call("patient").say("patient", NO).lose("patient")
    play.arrive(seat("patient", consented=True))
    assert not play.recording_on
    assert play.recording().refused == ("patient",)


def test_the_host_pauses_and_goes_on() -> None:
    play = recorded_call("patient").say("host", wire.SetRecording(wanted=False))
    assert not play.recording_on
    assert play.recording("patient").state == "paused"
    play.say("host", wire.SetRecording(wanted=True))
    assert play.recording_on


def test_without_a_host_nothing_is_recorded() -> None:
    play = recorded_call("patient").say("host", wire.Leave())
    assert not play.recording_on
    assert play.recording("patient").state == "off"
    play.arrive(host_seat())
    assert play.recording_on


def test_a_lost_host_who_is_back_soon_leaves_no_cut_in_the_recording() -> None:
    play = recorded_call("patient").lose("host").wait(RECORDS_WITHOUT_HOST_MS - 1)
    assert play.recording_on
    play.arrive(host_seat())
    assert not any(SwitchRecording(False) == effect for effect in play.past)


def test_a_lost_host_does_not_let_a_recording_begin() -> None:
    play = call("patient").lose("host").say("patient", YES)
    assert not play.recording_on


def test_a_host_who_stays_away_ends_the_recording_until_they_are_back() -> None:
    play = recorded_call("patient").lose("host")
    assert play.room.next_deadline_ms() == play.now_ms + RECORDS_WITHOUT_HOST_MS
    play.wait(RECORDS_WITHOUT_HOST_MS)
    assert not play.recording_on
    assert play.recording("patient").state == "off"
    play.arrive(host_seat())
    assert play.recording_on


def test_somebody_lost_is_not_asked_and_their_media_ends_if_they_never_said_yes() -> None:
    play = call("patient").say("host", YES).lose("patient")
    kinds = [type(effect) for effect in play.last]
    assert kinds.index(DropMedia) < kinds.index(SwitchRecording)
    assert play.recording_on
    play.arrive(seat("patient"))
    assert isinstance(play.last[0], SwitchRecording)
    assert not play.recording_on


def test_somebody_lost_who_said_yes_keeps_their_media_for_the_grace() -> None:
    play = recorded_call("patient").lose("patient")
    assert not play.of(DropMedia)
    assert play.recording_on
    play.wait(GRACE_MS)
    assert play.of(DropMedia)


def test_the_time_recorded_grows_only_while_it_is_on() -> None:
    play = recorded_call("patient")
    play.now_ms += 4000
    play.say("host", wire.SetRecording(wanted=False))
    play.now_ms += 9000
    play.say("host", wire.SetRecording(wanted=True))
    play.now_ms += 1000
    play.arrive(host_seat())
    assert play.sent("host", wire.Welcome)[0].recording.on_ms == 5000


def test_a_failed_disk_is_told_and_the_host_may_try_again() -> None:
    play = recorded_call("patient")
    play._then(play.room.recording_failed(play.now_ms))
    assert SwitchRecording(False) in play.last
    assert play.recording("patient").state == "failed"
    assert [one.state for one in play.told(events.RecordingSwitched)] == ["failed"]
    play.say("host", wire.SetRecording(wanted=True))
    assert play.recording_on


def test_a_hosts_pause_outlives_the_room() -> None:
    play = recorded_call("patient").say("host", wire.SetRecording(wanted=False))
    assert [(one.state, one.by_host) for one in play.told(events.RecordingSwitched)] == [("paused", True)]
    reopened = Play()
    for who in (host_seat(consented=True), seat("patient", admitted=True, consented=True)):
        reopened.arrive(dataclasses.replace(who, started_at_ms=WALL_MS, paused=True))
    assert reopened.recording().state == "paused"
    assert not reopened.recording_on
    assert reopened.say("host", wire.SetRecording(wanted=True)).recording_on
    reopened.lose("patient").arrive(dataclasses.replace(seat("patient", admitted=True, consented=True), paused=True))
    assert reopened.recording_on, "an older ticket pauses nothing"


def test_the_end_switches_the_recording_off() -> None:
    play = recorded_call("patient").say("host", wire.End())
    assert SwitchRecording(False) in play.last
    assert [one.state for one in play.told(events.RecordingSwitched)] == ["off"]


DEVICES = {
    "host": host_seat(),
    "host-phone": host_seat("host-phone", person_id="person of host"),
    "patient": seat("patient"),
    "patient-phone": seat("patient-phone", person_id="person of patient"),
    "known": seat("known", admitted=True, consented=True, started_at_ms=0),
    **{name: seat(name) for name in ("a", "b", "c", "d")},
}
MESSAGES = st.one_of(
    st.sampled_from([YES, NO, wire.SetRecording(True), wire.SetRecording(False), wire.Leave()]),
    st.just(wire.Offer("v=0", 1)),
    st.builds(wire.Admit, st.sampled_from(sorted(DEVICES))),
    st.builds(wire.Refuse, st.sampled_from(sorted(DEVICES))),
    st.builds(wire.Say, st.just("Hello"), st.just("line")),
    st.builds(wire.Show, st.builds(wire.View, st.just("scan"), st.integers(1, 3))),
)


class AnyCall(RuleBasedStateMachine):
    """Any order of things. Keeps its own books from the effects alone and compares them with what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play()
        self.connected: set[str] = set()
        self.inside: set[str] = set()  # welcomed and not gone, or lost only
        self.media: set[str] = set()
        self.lost_ms: dict[str, int] = {}
        self.answers: dict[str, bool] = {}
        self.recording = False

    @rule(member_id=st.sampled_from(sorted(DEVICES)))
    def arrive(self, member_id: str) -> None:
        try:
            effects = self.play.room.arrive(DEVICES[member_id], self.play.now_ms)
        except SignalingError:
            return
        if DEVICES[member_id].consented:
            self.answers.setdefault(DEVICES[member_id].person_id, True)
        self.connected.add(member_id)
        self._keep_books(effects)

    @precondition(lambda self: self.connected)
    @rule(data=st.data(), message=MESSAGES)
    def send(self, data: st.DataObject, message: wire.FromBrowser) -> None:
        member_id = data.draw(st.sampled_from(sorted(self.connected)))
        try:
            effects = self.play.room.receive(member_id, message, self.play.now_ms)
        except SignalingError:
            return
        if isinstance(message, wire.SetConsent):
            self.answers[DEVICES[member_id].person_id] = message.given
        self._keep_books(effects)

    @precondition(lambda self: self.connected)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        member_id = data.draw(st.sampled_from(sorted(self.connected)))
        self.connected.discard(member_id)
        self.lost_ms[member_id] = self.play.now_ms
        self._keep_books(self.play.room.disconnect(member_id, self.play.now_ms))

    @rule(ms=st.sampled_from([100, 11_000, GRACE_MS]))
    def wait(self, ms: int) -> None:
        self.play.now_ms += ms
        self._keep_books(self.play.room.tick(self.play.now_ms))

    @rule(person_id=st.sampled_from(["person of host", "person of patient", "person of a"]))
    def remove(self, person_id: str) -> None:
        self._keep_books(self.play.room.remove_person(person_id, "removed", self.play.now_ms))

    def _keep_books(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SwitchRecording(on):
                    assert on is not self.recording, "a switch always changes something"
                    self.recording = on
                case Send(to, wire.Welcome()):
                    assert to[0] in self.connected
                    self.inside.add(to[0])
                    self._check_recording()
                case Send(to, wire.Joined(member)):
                    self.inside.add(member.member_id)
                case Send(to, message):
                    assert set(to) <= self.connected, "nothing is sent to nobody"
                    if not isinstance(message, wire.Waiting | wire.Pong):
                        assert set(to) <= self.inside, "who waits hears nothing from the room"
                case CloseSocket(member_id):
                    self.connected.discard(member_id)
                    self.inside.discard(member_id)
                case DropMedia(member_id):
                    self.media.discard(member_id)
                    if (
                        member_id not in self.connected
                        and self.play.room._roster.attendees[member_id].place != "inside"
                    ):
                        self.inside.discard(member_id)
                case AcceptOffer(member):
                    assert member.member_id in self.inside & self.connected, "no media before admission"
                    self.media.add(member.member_id)
                case CloseMedia():
                    self.media.clear()

    def _check_recording(self) -> None:
        present = self.inside & self.connected
        if self.recording:
            assert all(self.answers.get(DEVICES[one].person_id) is True for one in present | self.media)
            assert any(self._leads(one) for one in self.inside)

    def _leads(self, member_id: str) -> bool:
        here = member_id in self.connected or self.play.now_ms - self.lost_ms[member_id] < RECORDS_WITHOUT_HOST_MS
        return DEVICES[member_id].grants == DEVICES["host"].grants and here

    @invariant()
    def nobody_is_recorded_who_did_not_agree(self) -> None:
        self._check_recording()

    @invariant()
    def the_room_and_the_lobby_keep_their_limits(self) -> None:
        roster = self.play.room._roster
        assert len(roster.inside()) <= MAX_INSIDE
        assert len(roster.waiting()) <= MAX_WAITING
        assert len({one.person_id for one in roster.inside()}) == len(roster.inside()), "one device per person"
        assert self.media <= {one.member_id for one in roster.inside()}
        assert {one.member_id for one in roster.attendees.values() if one.connected} == self.connected

    @invariant()
    def what_is_due_is_in_the_future_or_near(self) -> None:
        due = self.play.room.next_deadline_ms()
        assert due is None or due >= self.play.now_ms - GRACE_MS


TestAnyCall = AnyCall.TestCase
TestAnyCall.settings = settings(max_examples=60, stateful_step_count=40)
