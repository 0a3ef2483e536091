"""Sound out of a recording: 16 kHz, mono, signed 16 bits, as a stream, with the file's own time kept.

Where nothing was sent (a muted microphone, a lost network) zeros stand in, so that a place in the stream is a time.
Memory stays bounded: one packet at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from consult.transcripts.errors import AudioUnreadable

RATE_HZ = 16_000
BYTES_PER_MS = RATE_HZ * 2 // 1000
_JITTER_SAMPLES = RATE_HZ // 50  # times in WebM are whole milliseconds: 20 ms off is no gap
_MOST_ZEROS_BYTES = RATE_HZ * 2


def decode(path: Path) -> Iterator[bytes]:
    """Yield the sound of a file from its time zero. Raises AudioUnreadable if there is none."""
    try:
        with av.open(str(path), "r") as container:
            if not container.streams.audio:
                raise AudioUnreadable("no sound track")
            yield from _samples(container, container.streams.audio[0])
    except (av.error.InvalidDataError, av.error.EOFError):
        raise AudioUnreadable("not a recording") from None


def _samples(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    given = 0
    for frame in _frames(container, stream):
        if frame.pts is not None and frame.time_base is not None:
            missing = round(frame.pts * frame.time_base * RATE_HZ) - given
            if missing > _JITTER_SAMPLES:
                yield from _zeros(missing)
                given += missing
        frame.pts = None  # the resampler would count gaps a second time
        for piece in resampler.resample(frame):
            data = piece.to_ndarray().tobytes()
            given += len(data) // 2
            yield data


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = [] if packet is None else packet.decode()
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            continue  # one torn packet is 20 ms
        if packet is None:
            return
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def _zeros(samples: int) -> Iterator[bytes]:
    left = samples * 2
    while left > 0:
        size = min(left, _MOST_ZEROS_BYTES)
        yield bytes(size)
        left -= size
