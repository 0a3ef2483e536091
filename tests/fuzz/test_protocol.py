"""A room under any words from anybody: real messages, changed ones and nonsense, in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from signaling import messages as wire
from signaling.errors import SignalingError
from tests.fuzz.mutations import nearly
from tests.unit.test_room_recording import DEVICES, AnyCall

SLOT = wire.Slot("2", "audio", None)


class AnyWords(AnyCall):
    """AnyCall keeps the books: nobody unadmitted sends or hears anything, nobody is recorded without their yes."""

    @rule(member_id=st.sampled_from([*sorted(DEVICES), "nobody"]), data=nearly("message"))
    def say_anything(self, member_id: str, data: bytes) -> None:
        try:
            message = wire.decode(data.decode("utf-8", "replace"))
            effects = self.play.room.receive(member_id, message, self.play.now_ms)
        except SignalingError:
            return
        assert member_id in self.connected, "only who is connected is heard"
        if isinstance(message, wire.SetConsent):
            self.answers[DEVICES[member_id].person_id] = message.given
        self._keep_books(effects)

    @precondition(lambda self: self.play.room._roster.attendees)
    @rule(data=st.data(), attempt=st.integers(0, 3))
    def media_answers(self, data: st.DataObject, attempt: int) -> None:
        """Perhaps long after the offer, when its member has gone."""
        member_id = data.draw(st.sampled_from(sorted(self.play.room._roster.attendees)))
        effects = self.play.room.media_answer(member_id, attempt, "v=0")
        self._keep_books(effects + self.play.room.media_slots(member_id, attempt, (SLOT,)))

    @rule()
    def the_disk_fails(self) -> None:
        self._keep_books(self.play.room.recording_failed(self.play.now_ms))

    @precondition(lambda self: self.play.room.closed is not None)
    @rule(member_id=st.sampled_from(sorted(DEVICES)))
    def a_closed_room_says_no_more(self, member_id: str) -> None:
        assert self.play.room.tick(self.play.now_ms) == []
        assert not self.inside
        assert not self.media


TestAnyWords = AnyWords.TestCase
TestAnyWords.settings = settings(max_examples=60, stateful_step_count=40)
