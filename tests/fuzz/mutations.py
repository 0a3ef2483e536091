"""Bytes that are nearly right: real examples, changed in a few places."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.targets import seeds

WORDS = [
    b"\r\n", b"\n", b":", b" ", b"=", b"a=", b"m=", b"a=mid:", b"a=ssrc-group:FID ", b"4294967296", b"-1", b"1e999",
    b"\x00", b"\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"{", b"[", b'"', b"null", b"\\ud800", b"\xc3\x28",
    "\u2028".encode(), "\u0663".encode(), b"\x1f\x43\xb6\x75", b"\xa3\x01", b"\xe7\x08",
]  # fmt: skip


@st.composite
def nearly(draw: st.DrawFn, name: str) -> bytes:
    """Return a changed seed of a target, two of them joined, or anything."""
    data = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 7)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                data[at:at] = draw(st.sampled_from(WORDS))
            case 2:
                word = draw(st.sampled_from(WORDS))
                data[at : at + len(word)] = word
            case 3:
                del data[at : at + draw(st.integers(1, 64))]
            case 4:
                part = bytes(data[at : at + draw(st.integers(1, 256))])
                data[at:at] = part * draw(st.sampled_from([1, 2, 30]))
            case 5:
                del data[at:]
            case 6:
                other = draw(st.sampled_from(seeds(name)))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case 7:
                data[at:at] = draw(st.binary(max_size=40))
    return bytes(data)
