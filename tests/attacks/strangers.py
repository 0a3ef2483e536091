"""Floods of datagrams from addresses that nobody admitted.

`python -m tests.attacks.strangers KIND HOST PORT RATE SECONDS USER`: a process of its own, so that counting the
attacked calls is not disturbed by it. Prints how many it sent.
"""

from __future__ import annotations

import itertools
import random
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

from consult.load_test import stun

SOURCES = 32
BATCH_S = 0.002
HELLO = bytes.fromhex("16feff0000000000000000003f0100003300000000000000330000fefd") + bytes(47)
ALERT = bytes.fromhex("15fefd000000000000000000020100")
HEADER = struct.Struct("!HHL").pack
ATTRIBUTE = struct.Struct("!HH").pack


def empty(user: str) -> Iterator[bytes]:
    return itertools.repeat(b"")


def sizes(user: str) -> Iterator[bytes]:
    """From one byte to more than anybody takes, all first bytes."""
    for number in itertools.count():
        yield bytes([number % 256]) * (1, 2, 3, 11, 12, 20, 1_500, 1_501, 9_000, 65_000)[number % 10]


def checks_of_nobody(user: str) -> Iterator[bytes]:
    while True:
        yield _check(secrets.token_hex(4), secrets.token_hex(11))


def checks_with_a_wrong_key(user: str) -> Iterator[bytes]:
    while True:
        yield _check(user, secrets.token_hex(11))


def broken_checks(user: str) -> Iterator[bytes]:
    """For the right user: attributes of wrong lengths, cut off, far too many, and answers that nobody asked for."""
    name = f"{user}:x".encode()
    name = ATTRIBUTE(6, len(name)) + name + bytes(-len(name) % 4)
    while True:
        kind = random.randrange(256)
        for body in (
            name + ATTRIBUTE(kind, 1) + bytes(4),
            name + ATTRIBUTE(0x8028, 2) + bytes(4),
            ATTRIBUTE(6, 65_535) + name,
            name + ATTRIBUTE(kind, 0) * 300,
            name + ATTRIBUTE(6, 0) + name,
            ATTRIBUTE(0x20, 8) + secrets.token_bytes(8),
        ):
            for method in (0x0001, 0x0101, 0x0111, 0x0011, 0x0003):
                yield HEADER(method, len(body), 0x2112A442) + secrets.token_bytes(12) + body


def media(user: str) -> Iterator[bytes]:
    while True:
        yield b"\x80" + bytes([random.choice((96, 111, 224, 200, 201, 205, 206))]) + secrets.token_bytes(1_000)


def handshakes(user: str) -> Iterator[bytes]:
    while True:
        yield HELLO
        yield ALERT
        yield bytes([random.randrange(20, 64)]) + secrets.token_bytes(60)


FLOODS: dict[str, Callable[[str], Iterator[bytes]]] = {
    one.__name__: one
    for one in (empty, sizes, checks_of_nobody, checks_with_a_wrong_key, broken_checks, media, handshakes)
}


def _check(user: str, password: str) -> bytes:
    message, _ = stun.write_check(username=f"{user}:there", password=password, tie_breaker=1, controlling=True)
    return message


def flood(kind: str, host: str, port: int, rate_per_s: float, seconds: float, user: str) -> int:
    """Return how many datagrams were sent."""
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOURCES)]
    for sender in senders:
        sender.setblocking(False)
    datagrams = list(itertools.islice(FLOODS[kind](user), 2_000))
    sent, began_s = 0, time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        while sent < passed_s * rate_per_s:
            try:
                senders[sent % SOURCES].sendto(datagrams[sent % len(datagrams)], (host, port))
            except OSError:
                break
            sent += 1
        time.sleep(BATCH_S)
    for sender in senders:
        sender.close()
    return sent


if __name__ == "__main__":
    name, to, number, rate, long, target = sys.argv[1:]
    print(flood(name, to, int(number), float(rate), float(long), target))
