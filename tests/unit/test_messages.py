"""Wire messages: every one comes through unchanged, and nothing else comes through."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling import messages as wire
from signaling.errors import MessageMalformed, MessageTooLarge, MessageUnknown, NotGranted, SignalingError
from signaling.ticket import Grant, Role

VIEW = wire.View(record_id="scan", page=3, zoom=1.5, x=0.25, y=1.0, rotation=90)
MEMBER = wire.Member("m", "p", "Ana Ñ", Role.PATIENT, (Grant.PUBLISH,), True, True, True, False)
RECORDING = wire.Recording("asking", ("m",), ("n",), 1200)
QUALITY = wire.Quality(420, 0.04, 300_000, 250_000, 1)
LINE = wire.ChatLine("line", "m", "Ana Ñ", Role.PATIENT, 'a "word" – ✓', 61)

FROM_BROWSER_SAMPLES: list[wire.FromBrowser] = [
    wire.Hello(1, "ticket"),
    wire.Offer("v=0", 2),
    wire.Admit("m"),
    wire.Refuse("m"),
    wire.SetConsent(True, "recording-1"),
    wire.SetRecording(False),
    wire.Show(VIEW, 4),
    wire.Point(0.0, 1.0, False),
    wire.Say("Hello", "line"),
    wire.SetDevices(True, False),
    wire.Leave(),
    wire.End(),
    wire.Ping(1),
    wire.AskIceServers(),
    wire.Recall(VIEW, 1200, 61),
    wire.ShareScreen(True),
    wire.Mute("m"),
    wire.Unmute(),
    QUALITY,
]
TO_BROWSER_SAMPLES: list[wire.ToBrowser] = [
    wire.Waiting("m", True),
    wire.Knock(MEMBER),
    wire.KnockGone("m"),
    wire.Welcome("m", 5, "2026-01-01T00:00:00+00:00", (MEMBER,), (), VIEW, "m", RECORDING, (LINE,), ({},), 2),
    wire.Joined(MEMBER),
    wire.Changed(MEMBER),
    wire.Left("m", "lost"),
    wire.Answer("v=0", 2),
    wire.Slots(2, (wire.Slot("2", "audio", None),)),
    wire.ViewChanged(VIEW, "m", 4),
    wire.Pointed("m", 0.5, 0.5, True),
    wire.Said(LINE),
    wire.RecordingChanged(RECORDING, 7),
    wire.Ended("ended"),
    wire.error_message(NotGranted(), reference="1234abcd", of="end"),
    wire.Pong(1),
    wire.IceServers(({},), "relay"),
    wire.ScreenChanged("m"),
    wire.Muted("m"),
    wire.QualityOf("m", "weak", QUALITY),
]


@pytest.mark.parametrize("message", FROM_BROWSER_SAMPLES, ids=wire.type_name)
def test_what_a_browser_says_is_read_as_it_was_meant(message: wire.FromBrowser) -> None:
    text = json.dumps({"type": wire.type_name(message), "unknown": [1], **wire._fields(message)}, default=wire._fields)
    assert wire.decode(text) == message


@pytest.mark.parametrize("message", TO_BROWSER_SAMPLES, ids=lambda one: wire.TO_BROWSER[type(one)])
def test_what_a_browser_hears_has_every_field(message: wire.ToBrowser) -> None:
    heard = json.loads(wire.encode(message))
    assert heard.pop("type") == wire.TO_BROWSER[type(message)]
    assert set(heard) == set(wire._fields(message))


def test_nested_values_are_plain_json() -> None:
    heard = json.loads(wire.encode(wire.Knock(MEMBER)))
    assert heard["member"]["role"] == "patient"
    assert heard["member"]["grants"] == ["publish"]
    assert json.loads(wire.encode(wire.Said(LINE)))["line"]["text"] == LINE.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"hello"',
        "{}",
        '{"type": 1}',
        '{"type": "hello"}',
        '{"type": "hello", "version": "1", "ticket": "x"}',
        '{"type": "ping", "n": -1}',
        '{"type": "ping", "n": 1.5}',
        '{"type": "ping", "n": true}',
        '{"type": "say", "text": "", "line_id": "x"}',
        '{"type": "say", "text": "' + "a" * 2001 + '", "line_id": "x"}',
        '{"type": "point", "x": NaN, "y": 0}',
        '{"type": "point", "x": 1.01, "y": 0}',
        '{"type": "point", "x": Infinity, "y": 0}',
        '{"type": "show", "view": {"page": 0}}',
        '{"type": "show", "view": {"rotation": 45}}',
        '{"type": "show", "view": {"zoom": 1e9}}',
        '{"type": "admit", "member_id": ""}',
        '{"type": "admit", "member_id": "' + "a" * 65 + '"}',
        '{"type": "offer", "sdp": "' + "a" * (64 * 1024 + 1) + '", "attempt": 1}',
        "[" * 50_000,
        '{"type": "ping", "n": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:60],
)
def test_what_is_not_a_message_is_malformed(text: str) -> None:
    with pytest.raises(MessageMalformed):
        wire.decode(text)


def test_an_unknown_type_and_a_long_message_are_named_so() -> None:
    with pytest.raises(MessageUnknown):
        wire.decode('{"type": "welcome"}')
    with pytest.raises(MessageTooLarge):
        wire.decode(" " * (wire.MAX_MESSAGE_BYTES + 1))


@given(st.text() | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps))
def test_no_text_does_worse_than_an_error(text: str) -> None:
    with contextlib.suppress(SignalingError):
        wire.decode(text)


@given(
    kind=st.sampled_from(sorted(wire.FROM_BROWSER)),
    fields=st.dictionaries(
        st.sampled_from(["version", "ticket", "sdp", "attempt", "member_id", "view", "x", "y", "text", "n", "given"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({}),
    ),
)
def test_no_fields_do_worse_than_an_error(kind: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(SignalingError):
        wire.decode(json.dumps({"type": kind, **fields}))
