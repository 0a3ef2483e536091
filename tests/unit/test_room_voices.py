"""Whose screen is shown, who is silenced, how good connections are: what follows in a room for all."""

from __future__ import annotations

import pytest

from signaling import events
from signaling import messages as wire
from signaling.effects import ShareScreen, Silence
from signaling.errors import MemberUnknown, NotGranted, ScreenTaken
from signaling.line_watch import grade_of
from signaling.ticket import Grant
from tests.unit.rooms import call, host_seat, seat

GOOD = wire.Quality(60, 0.0, 900_000, 800_000, 0)
WEAK = wire.Quality(420, 0.01, 300_000, 250_000, 0)
BAD = wire.Quality(900, 0.2, 60_000, 50_000, 3)


def test_everybody_sees_the_screen_of_the_one_who_shows_it_until_they_stop() -> None:
    play = call("ana").say("ana", wire.ShareScreen(wanted=True))
    assert play.of(ShareScreen) == [ShareScreen("ana")]
    assert play.sent("host", wire.ScreenChanged) == play.sent("ana", wire.ScreenChanged) == [wire.ScreenChanged("ana")]
    assert play.told(events.ScreenShared)[0].member_id == "ana"
    assert play.admit(seat("rui")).sent("rui", wire.Welcome)[0].screen == "ana"
    play.say("ana", wire.ShareScreen(wanted=False))
    assert play.of(ShareScreen) == [ShareScreen(None)]
    assert play.sent("rui", wire.ScreenChanged) == [wire.ScreenChanged(None)]
    assert play.told(events.ScreenStopped)[0].member_id == "ana"


def test_one_screen_at_a_time_and_a_host_may_stop_anybodys() -> None:
    play = call("ana", "rui").say("ana", wire.ShareScreen(wanted=True))
    with pytest.raises(ScreenTaken):
        play.say("rui", wire.ShareScreen(wanted=True))
    with pytest.raises(NotGranted):
        play.say("rui", wire.ShareScreen(wanted=False))
    play.say("host", wire.ShareScreen(wanted=False)).say("rui", wire.ShareScreen(wanted=True))
    assert play.of(ShareScreen) == [ShareScreen("rui")]


def test_who_may_send_nothing_shows_no_screen() -> None:
    play = call().admit(seat("ana", grants=(Grant.SHOW,)))
    with pytest.raises(NotGranted):
        play.say("ana", wire.ShareScreen(wanted=True))


def test_a_screen_outlives_a_lost_line_and_goes_with_the_one_who_shows_it() -> None:
    play = call("ana").say("ana", wire.ShareScreen(wanted=True)).lose("ana")
    assert play.of(ShareScreen) == []
    play.wait(50_000)
    assert play.of(ShareScreen) == [ShareScreen(None)]
    assert play.sent("host", wire.ScreenChanged) == [wire.ScreenChanged(None)]


def test_the_end_of_a_call_is_the_end_of_a_screen_for_the_timeline() -> None:
    play = call("ana").say("ana", wire.ShareScreen(wanted=True)).close("ended")
    assert play.sent("ana", wire.ScreenChanged) == []
    assert [one.member_id for one in play.told(events.ScreenStopped)] == ["ana"]


def test_a_host_silences_somebody_until_they_speak_again_by_themselves() -> None:
    play = call("ana").say("ana", wire.SetDevices(microphone=True, camera=True)).say("host", wire.Mute("ana"))
    assert play.of(Silence) == [Silence("ana", on=True)]
    assert play.sent("ana", wire.Muted) == [wire.Muted("host")]
    assert play.told(events.MemberMuted)[0].by == "host"
    member = play.sent("host", wire.Changed)[0].member
    assert (member.muted, member.microphone) == (True, False)
    assert play.say("host", wire.Mute("ana")).last == []
    play.say("ana", wire.SetDevices(microphone=True, camera=False))
    assert play.of(Silence) == [], "a message that was on its way does not undo it"
    assert not play.sent("host", wire.Changed)[0].member.microphone
    play.say("ana", wire.Unmute())
    assert play.of(Silence) == [Silence("ana", on=False)]
    assert play.sent("host", wire.Changed)[0].member.microphone
    assert play.told(events.MemberUnmuted)[0].member_id == "ana"
    assert play.say("ana", wire.Unmute()).last == []


def test_a_reload_does_not_speak_again_for_somebody_who_was_silenced() -> None:
    play = call("ana").say("host", wire.Mute("ana")).lose("ana").arrive(seat("ana"))
    member = next(one for one in play.sent("ana", wire.Welcome)[0].members if one.member_id == "ana")
    assert member.muted
    assert play.of(Silence) == []


def test_nobody_silences_themselves_or_somebody_who_is_not_there_or_without_leading() -> None:
    play = call("ana").arrive(seat("rui"))
    for member_id in ("host", "nobody", "rui"):
        with pytest.raises(MemberUnknown):
            play.say("host", wire.Mute(member_id))
    with pytest.raises(NotGranted):
        play.say("ana", wire.Mute("host"))


def test_a_second_host_may_silence_the_first() -> None:
    play = call().arrive(host_seat("other")).say("other", wire.Mute("host"))
    assert play.of(Silence) == [Silence("host", on=True)]


def test_a_measurement_is_graded_by_its_worst_figure() -> None:
    assert [grade_of(one) for one in (GOOD, WEAK, BAD)] == ["good", "weak", "bad"]
    assert grade_of(wire.Quality(60, 0.05, 1, 1, 0)) == grade_of(wire.Quality(60, 0, 1, 1, 2)) == "weak"
    assert grade_of(wire.Quality(60, 0.11, 1, 1, 0)) == "bad"


def test_others_hear_of_a_connection_when_it_changes_for_good_and_now_and_then() -> None:
    play = call("ana")
    assert play.say("ana", GOOD).sent("host", wire.QualityOf) == [wire.QualityOf("ana", "good", GOOD)]
    assert play.sent("ana", wire.QualityOf) == []
    play.wait(2000).say("ana", WEAK)
    assert play.last == [], "one bad measurement is no news"
    play.wait(2000).say("ana", WEAK)
    assert [one.grade for one in play.sent("host", wire.QualityOf)] == ["weak"]
    play.wait(2000).say("ana", WEAK)
    assert play.last == []
    for _ in range(3):
        play.wait(2000).say("ana", WEAK)
        assert play.sent("host", wire.QualityOf) == []
    play.wait(2000).say("ana", WEAK)
    assert [one.grade for one in play.sent("host", wire.QualityOf)] == ["weak"]
    play.wait(500).say("ana", BAD)
    assert play.last == [], "too soon after the last"


def test_the_timeline_keeps_a_summary_a_minute_and_every_lasting_change() -> None:
    play = call("ana")
    for number in range(90):  # 3 minutes: good, a bad one from 0:58 to 1:02, good
        play.wait(2000).say("ana", BAD if number in (29, 30) else GOOD)
    told = [one for one in play.events() if isinstance(one, events.LineMeasured)]
    assert [one.grade for one in told] == ["bad", "good", "good"]
    assert (told[0].round_trip_ms, told[0].loss, told[0].freezes) == (900, 0.2, 6)
    assert told[2].over_ms == 60_000 and told[2].loss == 0
    assert told[2].sent_bps == 900_000
