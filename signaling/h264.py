"""The payload of H.264 over RTP (RFC 6184, packetization-mode 1), and what the bitstream says of its pictures.

Owns where keyframes begin, how packets become NAL units, and the facts that a file needs: size, parameter sets. Reading
never raises: what is malformed is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

IDR, SEI, SEQUENCE_PARAMETERS, PICTURE_PARAMETERS, DELIMITER = 5, 6, 7, 8, 9
STAP_A, FU_A = 24, 28
START_CODE: Final = b"\0\0\0\1"
MAX_EXP_GOLOMB_BITS: Final = 32
MAX_PARAMETER_BYTES: Final = 1024  # real ones have 10 to 200
MAX_SIDE_PIXELS: Final = 16_384  # no level allows more

# Profiles whose parameters carry chroma format and scaling lists (H.264 §7.3.2.1.1).
_HIGH_PROFILES: Final = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


class ParameterSets(NamedTuple):
    """The first sequence and picture parameters of a keyframe, without start codes."""

    sequence: bytes
    picture: bytes


def starts_keyframe(payload: bytes) -> bool:
    """Return whether a decoder can begin here: sequence parameters, alone or in front of an aggregate.

    Browsers send them before each IDR picture; from the IDR alone nobody could decode.
    """
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == SEQUENCE_PARAMETERS:
        return True
    return kind == STAP_A and any(unit[0] & 0x1F == SEQUENCE_PARAMETERS for unit in _split_aggregate(payload))


def continues_unit(payload: bytes) -> bool:
    """Return whether this is a later fragment of a NAL unit: without the packet before it, it is worth nothing."""
    return len(payload) > 1 and payload[0] & 0x1F == FU_A and not payload[1] & 0x80


def join_units(payloads: Iterable[bytes]) -> list[bytes]:
    """Return the NAL units of one picture from its packets' payloads, in order; what lacks its end is left out."""
    units: list[bytes] = []
    fragments: list[bytes] = []
    for payload in payloads:
        if not payload:
            continue
        kind = payload[0] & 0x1F
        if kind == FU_A:
            if len(payload) < 3:
                continue
            if payload[1] & 0x80:
                fragments = [bytes([payload[0] & 0xE0 | payload[1] & 0x1F])]
            if fragments:
                fragments.append(payload[2:])
            if fragments and payload[1] & 0x40:
                units.append(b"".join(fragments))
                fragments = []
        elif kind == STAP_A:
            units.extend(_split_aggregate(payload))
        elif 0 < kind < STAP_A:
            units.append(payload)
    return units


def is_keyframe(units: Iterable[bytes]) -> bool:
    """Return whether a picture of these NAL units needs no other: an IDR picture."""
    return any(unit[0] & 0x1F == IDR for unit in units)


def write_annex_b(units: Iterable[bytes]) -> bytes:
    """Return a picture as a byte stream with start codes (H.264 annex B)."""
    return b"".join(START_CODE + unit for unit in units)


def write_avc(units: Iterable[bytes]) -> bytes:
    """Return a picture as files hold it: each NAL unit after its length in 4 bytes (ISO 14496-15 §5.3.2)."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def find_parameters(units: Iterable[bytes]) -> ParameterSets | None:
    """Return the parameter sets among a keyframe's NAL units, None if one is missing or larger than any real one."""
    found: dict[int, bytes] = {}
    for unit in units:
        found.setdefault(unit[0] & 0x1F, unit)
    sequence, picture = found.get(SEQUENCE_PARAMETERS), found.get(PICTURE_PARAMETERS)
    if sequence is None or picture is None or len(sequence) < 4:
        return None
    if max(len(sequence), len(picture)) > MAX_PARAMETER_BYTES:
        return None
    return ParameterSets(sequence, picture)


def write_decoder_configuration(parameters: ParameterSets) -> bytes:
    """Return an AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1): CodecPrivate in Matroska, avcC in MP4.

    It says that lengths have 4 bytes. Profiles above baseline would add three fields; we negotiate none of them.
    """
    sequence, picture = parameters
    head = bytes([1, sequence[1], sequence[2], sequence[3], 0xFC | 3, 0xE0 | 1])
    return b"".join((head, len(sequence).to_bytes(2, "big"), sequence, b"\1", len(picture).to_bytes(2, "big"), picture))


def picture_size(sequence: bytes) -> tuple[int, int]:
    """Return width and height, in pixels, that sequence parameters tell (H.264 §7.3.2.1.1); (0, 0) if unreadable."""
    try:
        return _read_size(_Bits(sequence[1:].replace(b"\0\0\3", b"\0\0")))
    except (IndexError, ValueError):
        return 0, 0


def _split_aggregate(payload: bytes) -> list[bytes]:
    """The NAL units of a STAP-A (RFC 6184 §5.7.1)."""
    units = []
    at = 1
    while at + 2 < len(payload):
        size = payload[at] << 8 | payload[at + 1]
        if not size or at + 2 + size > len(payload):
            break
        units.append(payload[at + 2 : at + 2 + size])
        at += 2 + size
    return units


class _Bits:
    """Reads bit by bit. Raises IndexError behind the end, ValueError for a number that cannot be."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def take_exp_golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > MAX_EXP_GOLOMB_BITS:
                raise ValueError("no number")
        return (1 << zeros) - 1 + self.take(zeros)

    def take_signed(self) -> int:
        code = self.take_exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _read_size(bits: _Bits) -> tuple[int, int]:
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.take_exp_golomb()  # id
    chroma_format = _skip_high_profile(bits) if profile in _HIGH_PROFILES else 1
    bits.take_exp_golomb()  # log2_max_frame_num
    _skip_picture_order(bits)
    bits.take_exp_golomb()  # reference frames
    bits.take(1)
    width_blocks, height_units = bits.take_exp_golomb() + 1, bits.take_exp_golomb() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    left, right, top, bottom = (bits.take_exp_golomb() for _ in range(4)) if bits.take(1) else (0, 0, 0, 0)
    step_x = 2 if chroma_format in (1, 2) else 1
    step_y = (2 if chroma_format == 1 else 1) * (2 - frames_only)
    width = width_blocks * 16 - (left + right) * step_x
    height = height_units * 16 * (2 - frames_only) - (top + bottom) * step_y
    return (width, height) if 0 < width <= MAX_SIDE_PIXELS and 0 < height <= MAX_SIDE_PIXELS else (0, 0)


def _skip_high_profile(bits: _Bits) -> int:
    chroma_format = bits.take_exp_golomb()
    if chroma_format == 3:
        bits.take(1)
    bits.take_exp_golomb()
    bits.take_exp_golomb()
    bits.take(1)
    if bits.take(1):
        for index in range(8 if chroma_format != 3 else 12):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma_format


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.take_signed()) % 256
        last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    order_type = bits.take_exp_golomb()
    if order_type == 0:
        bits.take_exp_golomb()
    elif order_type == 1:
        bits.take(1)
        bits.take_signed()
        bits.take_signed()
        for _ in range(min(bits.take_exp_golomb(), 255)):
            bits.take_signed()
