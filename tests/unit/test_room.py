"""Rooms: who gets in, who waits, who may do what. Messages in, effects out."""

from __future__ import annotations

import pytest

from signaling import events
from signaling import messages as wire
from signaling.effects import AcceptOffer, CloseMedia, CloseSocket, DropMedia, Send
from signaling.errors import (
    LobbyFull,
    MemberUnknown,
    MessageMalformed,
    MessageOutOfOrder,
    NotGranted,
    RoomFull,
    SignalingError,
)
from signaling.room import GRACE_MS, IDLE_MS, LOBBY_GRACE_MS
from signaling.ticket import Grant
from tests.unit.rooms import WALL_MS, Play, call, host_seat, seat

OFFER = wire.Offer(sdp="v=0", attempt=1)


# Arriving ------------------------------------------------------------------------------------------------------------


def test_the_first_host_is_in_at_once_and_starts_the_consultation() -> None:
    play = Play(now_ms=5000).arrive(host_seat())
    (welcome,) = play.sent("host", wire.Welcome)
    assert (welcome.now_ms, welcome.started_at) == (0, "2023-11-14T22:13:25.000+00:00")
    (opened,) = play.told(events.RoomOpened)
    assert (opened.at_ms, opened.happened_at) == (0, welcome.started_at)
    assert play.told(events.MemberJoined)[0].member_id == "host"


def test_before_the_host_everybody_waits_and_hears_when_the_host_comes_and_goes() -> None:
    play = Play().arrive(seat("patient"))
    assert play.sent("patient", wire.Waiting) == [wire.Waiting("patient", host_present=False)]
    assert play.told(events.MemberWaiting)
    play.arrive(host_seat())
    assert play.sent("patient", wire.Waiting) == [wire.Waiting("patient", host_present=True)]
    assert [one.member_id for one in play.sent("host", wire.Welcome)[0].knocks] == ["patient"]
    play.lose("host")
    assert play.sent("patient", wire.Waiting) == [wire.Waiting("patient", host_present=False)]


def test_a_knock_goes_to_hosts_alone_and_admitting_brings_somebody_in() -> None:
    play = call("patient").arrive(seat("guest"))
    assert play.sent("host", wire.Knock)[0].member.member_id == "guest"
    assert not play.sent("patient", wire.Knock)
    play.say("host", wire.Admit("guest"))
    assert play.sent("host", wire.KnockGone)
    assert [one.member_id for one in play.sent("guest", wire.Welcome)[0].members] == ["host", "patient", "guest"]
    assert play.sent("patient", wire.Joined)[0].member.member_id == "guest"
    assert play.told(events.MemberAdmitted)[0].by == "host"
    assert play.told(events.MemberJoined)[0].member_id == "guest"


def test_after_a_restart_an_admitted_seat_is_in_before_the_host_and_the_clock_goes_on() -> None:
    play = Play(now_ms=1000).arrive(seat("patient", admitted=True, started_at_ms=WALL_MS - 60_000))
    (welcome,) = play.sent("patient", wire.Welcome)
    assert welcome.now_ms == 61_000
    assert not play.told(events.RoomOpened)
    play.arrive(host_seat())
    assert not play.told(events.RoomOpened)


def test_an_admitted_seat_waits_for_the_start_and_then_needs_nobody() -> None:
    play = Play().arrive(seat("patient", admitted=True))
    assert play.sent("patient", wire.Waiting)
    play.arrive(host_seat())
    assert play.sent("patient", wire.Welcome)


def test_a_start_in_the_future_is_now() -> None:
    play = Play(now_ms=10).arrive(seat("patient", admitted=True, started_at_ms=WALL_MS + 5000))
    assert play.sent("patient", wire.Welcome)[0].now_ms == 0


def test_a_sixth_device_finds_the_lobby_full() -> None:
    play = call()
    for number in range(5):
        play.arrive(seat(f"guest{number}"))
    with pytest.raises(LobbyFull):
        play.arrive(seat("guest5"))
    play.arrive(seat("guest0"))  # a reload is not one more


def test_a_seventh_member_is_not_admitted_until_somebody_leaves() -> None:
    play = call("a", "b", "c", "x", "y").arrive(seat("d"))
    with pytest.raises(RoomFull):
        play.say("host", wire.Admit("d"))
    with pytest.raises(RoomFull):
        play.arrive(host_seat("other-host"))
    play.say("a", wire.Leave())
    play.say("host", wire.Admit("d"))
    assert play.sent("d", wire.Welcome)
    with pytest.raises(RoomFull):
        play.arrive(seat("a"))  # admitted, but their place was taken


# Leaving, losing, coming back ----------------------------------------------------------------------------------------


def test_a_reload_returns_to_the_same_seat_without_being_admitted_again() -> None:
    play = call("patient").lose("patient")
    (changed,) = play.sent("host", wire.Changed)
    assert not changed.member.connected
    play.wait(3000).arrive(seat("patient"))
    assert play.sent("patient", wire.Welcome)
    assert play.sent("host", wire.Changed)[0].member.connected
    assert not play.told(events.MemberJoined)
    assert not play.told(events.MemberWaiting)


def test_somebody_lost_is_told_as_left_after_the_grace_and_may_still_come_back() -> None:
    play = call("patient").lose("patient").wait(GRACE_MS - 1)
    assert not play.last
    assert play.room.next_deadline_ms() == GRACE_MS
    play.wait(1)
    assert play.sent("host", wire.Left) == [wire.Left("patient", "lost")]
    assert play.told(events.MemberLeft)[0].reason == "lost"
    assert play.of(DropMedia)
    play.wait(5000).arrive(seat("patient"))
    assert play.sent("patient", wire.Welcome)
    assert play.told(events.MemberJoined)


def test_a_lost_member_counts_until_the_grace_ends() -> None:
    play = call("a", "b", "c", "x", "y").arrive(seat("d")).lose("a")
    with pytest.raises(RoomFull):
        play.say("host", wire.Admit("d"))
    play.wait(GRACE_MS)
    play.say("host", wire.Admit("d"))
    assert play.sent("d", wire.Welcome)


def test_a_reload_in_the_lobby_does_not_knock_twice() -> None:
    play = call().arrive(seat("patient")).lose("patient")
    assert not play.sent("host", wire.KnockGone)
    assert not play.sent("host", wire.Knock)[0].member.connected
    play.wait(LOBBY_GRACE_MS - 1).arrive(seat("patient"))
    assert not play.told(events.MemberWaiting)
    play.lose("patient").wait(LOBBY_GRACE_MS)
    assert play.sent("host", wire.KnockGone)
    assert play.told(events.MemberLeft)[0].reason == "lost"


def test_somebody_admitted_during_a_reload_is_in_when_they_are_back() -> None:
    play = call().arrive(seat("patient")).lose("patient").say("host", wire.Admit("patient"))
    assert not play.sent("patient", wire.Welcome)
    play.arrive(seat("patient"))
    assert play.sent("patient", wire.Welcome)


def test_leaving_is_told_and_the_seat_is_kept() -> None:
    play = call("patient").say("patient", wire.Leave())
    assert play.of(CloseSocket) == [CloseSocket("patient", None)]
    assert play.sent("host", wire.Left) == [wire.Left("patient", "left")]
    assert play.told(events.MemberLeft)[0].reason == "left"
    play.arrive(seat("patient"))
    assert play.sent("patient", wire.Welcome)


def test_a_refused_person_may_knock_three_times_again() -> None:
    play = call()
    for _ in range(4):
        play.arrive(seat("patient"))
        assert play.sent("patient", wire.Waiting)
        play.say("host", wire.Refuse("patient"))
        assert play.ended("patient") == "refused"
        assert play.told(events.MemberLeft)[0].reason == "refused"
    play.arrive(seat("patient-again", person_id="person of patient"))
    assert play.ended("patient-again") == "refused"


def test_only_somebody_who_waits_can_be_admitted_or_refused() -> None:
    play = call("patient")
    for message in (wire.Admit("nobody"), wire.Refuse("nobody"), wire.Refuse("patient"), wire.Admit("host")):
        with pytest.raises(MemberUnknown):
            play.say("host", message)


# A second device -----------------------------------------------------------------------------------------------------


def test_a_second_device_waits_is_announced_to_both_and_takes_the_seat_only_when_admitted() -> None:
    play = call("laptop").arrive(seat("phone", person_id="person of laptop", admitted=True))
    assert play.sent("phone", wire.Waiting)[0].second_device
    assert play.sent("host", wire.Knock)[0].member.second_device
    assert play.sent("laptop", wire.Knock)[0].member.second_device
    play.say("host", wire.Admit("phone"))
    assert play.ended("laptop") == "superseded"
    assert [one.reason for one in play.told(events.MemberLeft)] == ["superseded"]
    assert DropMedia("laptop") in play.last
    assert [one.member_id for one in play.sent("phone", wire.Welcome)[0].members] == ["host", "phone"]
    play.arrive(seat("laptop", admitted=True))
    assert play.sent("laptop", wire.Waiting)[0].second_device


def test_a_second_device_is_let_into_a_full_room_because_it_replaces_the_first() -> None:
    play = call("a", "b", "c").arrive(seat("c2", person_id="person of c")).say("host", wire.Admit("c2"))
    assert play.sent("c2", wire.Welcome)


def test_a_hosts_second_device_waits_too_and_follows_when_the_first_is_gone() -> None:
    play = call("patient").arrive(host_seat("host2", person_id="person of host"))
    assert play.sent("host2", wire.Waiting)[0].second_device
    play.lose("host").wait(GRACE_MS)
    assert play.sent("host2", wire.Welcome)


def test_a_consent_is_the_persons_on_any_device() -> None:
    play = call("laptop")
    for member_id in ("host", "laptop"):
        play.say(member_id, wire.SetConsent(given=True, wording=wire.CONSENT_WORDING))
    play.admit(seat("phone", person_id="person of laptop"))
    assert play.recording_on
    assert play.recording().awaiting == ()


# Who may do what -----------------------------------------------------------------------------------------------------

NOT_IN_THE_LOBBY = [
    OFFER,
    wire.Admit("x"),
    wire.Refuse("x"),
    wire.SetConsent(given=True, wording=wire.CONSENT_WORDING),
    wire.SetRecording(wanted=True),
    wire.Show(wire.View()),
    wire.Point(0, 0),
    wire.Say("Hello", "line"),
    wire.End(),
]


@pytest.mark.parametrize("message", NOT_IN_THE_LOBBY, ids=wire.type_name)
def test_nobody_acts_before_admission(message: wire.FromBrowser) -> None:
    play = call().arrive(seat("patient", grants=tuple(g for g in Grant if g is not Grant.HOST)))
    with pytest.raises(MessageOutOfOrder):
        play.say("patient", message)


@pytest.mark.parametrize("message", NOT_IN_THE_LOBBY, ids=wire.type_name)
def test_nobody_acts_after_they_left(message: wire.FromBrowser) -> None:
    play = call("patient").say("patient", wire.Leave())
    with pytest.raises(MessageOutOfOrder):
        play.say("patient", message)


def test_in_the_lobby_one_may_ping_set_devices_and_leave() -> None:
    play = call().arrive(seat("patient")).say("patient", wire.Ping(7))
    assert play.last == [Send(("patient",), wire.Pong(7))]
    assert play.say("patient", wire.SetDevices(microphone=True, camera=False)).last == []
    play.say("host", wire.Admit("patient"))
    assert play.sent("host", wire.Joined)[0].member.microphone
    play.arrive(seat("guest")).say("guest", wire.Leave())
    assert play.sent("host", wire.KnockGone)


@pytest.mark.parametrize(
    "message",
    [wire.Admit("x"), wire.Refuse("x"), wire.SetRecording(False), wire.End(), OFFER, wire.Show(wire.View())],
    ids=wire.type_name,
)
def test_what_needs_a_grant_is_refused_without_it(message: wire.FromBrowser) -> None:
    play = call().admit(seat("guest", grants=()))
    with pytest.raises(NotGranted):
        play.say("guest", message)


def test_a_second_hello_is_out_of_order() -> None:
    with pytest.raises(MessageOutOfOrder):
        call().say("host", wire.Hello(1, "x"))


def test_an_offer_is_passed_to_the_media_with_who_makes_it() -> None:
    (offer,) = call("patient").say("patient", OFFER).last
    assert isinstance(offer, AcceptOffer)
    assert (offer.member.member_id, offer.member.person_id, offer.attempt) == ("patient", "person of patient", 1)


def test_an_answer_for_somebody_who_went_meanwhile_drops_the_connection() -> None:
    play = call("patient").say("patient", wire.Leave())
    assert play.room.media_answer("patient", 1, "v=0") == [DropMedia("patient")]
    assert play.room.media_slots("patient", 1, ()) == []


# View, pointer, chat -------------------------------------------------------------------------------------------------


def test_a_view_goes_to_everybody_at_once_and_its_sender_hears_the_revision() -> None:
    view = wire.View(record_id="scan", page=2)
    play = call("patient").say("patient", wire.Show(view, revision=9))
    for member_id in ("host", "patient"):
        assert play.sent(member_id, wire.ViewChanged) == [wire.ViewChanged(view, "patient", 9)]
    welcome = play.admit(seat("guest")).sent("guest", wire.Welcome)[0]
    assert (welcome.view, welcome.view_by) == (view, "patient")


def test_views_are_told_once_a_second_and_the_last_one_always() -> None:
    play = call()
    for page in range(1, 8):
        play.now_ms += 100
        play.say("host", wire.Show(wire.View(record_id="scan", page=page)))
    assert play.room.next_deadline_ms() == 1100
    play.wait(400)
    told = [event for event in play.events() if isinstance(event, events.ViewShown)]
    assert [(event.page, event.at_ms) for event in told] == [(1, 100), (7, 700)]
    play.wait(5000)
    assert not play.last


def test_the_last_view_is_told_even_if_the_call_ends() -> None:
    play = call()
    for page in (1, 2):
        play.say("host", wire.Show(wire.View(record_id="scan", page=page)))
    play.say("host", wire.End())
    assert [event.page for event in play.told(events.ViewShown)] == [2]


def test_a_pointer_goes_to_the_others_and_is_no_event() -> None:
    play = call("patient").say("host", wire.Point(0.25, 0.5))
    assert play.last == [Send(("patient",), wire.Pointed("host", 0.25, 0.5, True))]


def test_a_chat_line_sent_again_is_kept_once() -> None:
    play = call("patient").say("patient", wire.Say(" Good morning ", "line-1"))
    (said,) = play.sent("host", wire.Said)
    assert said.line.text == "Good morning"
    assert play.told(events.ChatSaid)[0].text == "Good morning"
    play.say("patient", wire.Say("Good morning", "line-1"))
    assert play.last == [Send(("patient",), said)]
    play.lose("patient").arrive(seat("patient"))
    assert play.sent("patient", wire.Welcome)[0].chat == (said.line,)


def test_a_blank_line_is_not_said() -> None:
    with pytest.raises(MessageMalformed):
        call().say("host", wire.Say("  \n", "line"))


def test_the_room_keeps_the_last_500_lines() -> None:
    play = call()
    for number in range(510):
        play.say("host", wire.Say(str(number), f"line-{number}"))
    chat = play.arrive(host_seat()).sent("host", wire.Welcome)[0].chat
    assert (len(chat), chat[0].text, chat[-1].text) == (500, "10", "509")


# The end -------------------------------------------------------------------------------------------------------------


def test_when_the_host_ends_everybody_hears_it_the_lobby_too() -> None:
    play = call("patient").arrive(seat("guest")).say("host", wire.End())
    assert {one.member_id: one.reason for one in play.of(CloseSocket)} == dict.fromkeys(
        ("host", "patient", "guest"), "ended"
    )
    assert play.told(events.RoomClosed)[0].reason == "ended"
    assert len(play.told(events.MemberLeft)) == 3
    kinds = [type(effect) for effect in play.last]
    assert kinds.index(CloseMedia) == len(kinds) - 2, "nothing but RoomClosed comes after the media's end"
    play.arrive(seat("patient"))
    assert play.last == [CloseSocket("patient", "ended")]
    assert play.close("ended").last == []
    assert play.room.next_deadline_ms() is None


def test_a_removed_person_goes_on_every_device_and_must_be_admitted_again() -> None:
    play = call("laptop").arrive(seat("phone", person_id="person of laptop")).remove("person of laptop", "expired")
    assert (play.ended("laptop"), play.ended("phone")) == ("expired", "expired")
    assert [one.reason for one in play.told(events.MemberLeft)] == ["expired", "expired"]
    play.arrive(seat("laptop"))
    assert play.sent("laptop", wire.Waiting)


def test_the_applications_reason_for_closing_reads_as_ended() -> None:
    play = call("patient").close("closed")
    assert play.ended("patient") == "ended"
    assert play.told(events.RoomClosed)[0].reason == "closed"


def test_a_room_that_nobody_is_connected_to_closes_after_ten_minutes() -> None:
    play = call().lose("host").wait(IDLE_MS - 1)
    assert play.room.closed is None
    play.wait(1)
    assert play.told(events.RoomClosed)[0].reason == "idle"


def test_a_lobby_that_never_saw_a_host_closes_without_a_consultation() -> None:
    play = Play().arrive(seat("patient")).lose("patient").wait(IDLE_MS)
    assert play.room.closed == "idle"
    assert not play.told(events.RoomClosed)


def test_a_stopping_process_sends_everybody_away_for_a_moment() -> None:
    play = call("patient")
    effects = play.room.suspend(play.now_ms)
    assert {one.reason for one in effects if isinstance(one, CloseSocket)} == {"restarting"}
    assert CloseMedia() in effects


def test_every_error_of_a_room_has_a_sentence_and_a_code() -> None:
    def leaves(kind: type[SignalingError]) -> list[type[SignalingError]]:
        return [leaf for sub in kind.__subclasses__() for leaf in (leaves(sub) or [sub])]

    codes = [kind.code for kind in leaves(SignalingError)]
    assert len(codes) == len(set(codes))
    assert all(kind.message.endswith(".") for kind in leaves(SignalingError))
