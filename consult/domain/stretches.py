"""Stretches of whole numbers, such as seconds: pairs of a start and an end, the end not part of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]


def merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return the same numbers as few stretches, ordered; those that overlap or touch become one."""
    one_of_each: list[Stretch] = []
    for start, end in sorted(stretches):
        if one_of_each and start <= one_of_each[-1][1]:
            one_of_each[-1] = (one_of_each[-1][0], max(one_of_each[-1][1], end))
        else:
            one_of_each.append((start, end))
    return one_of_each


def without(stretches: Iterable[Stretch], cuts: Sequence[Stretch]) -> list[Stretch]:
    """Return what is left of stretches. cuts: merged. It is soonest done where the stretches are ordered."""
    left: list[Stretch] = []
    place, passed = 0, None  # no cut before this place ends after what was passed
    for start, end in stretches:
        if passed is None or start < passed:
            place, passed = _first_after(cuts, start), start
        while place < len(cuts):
            cut_from, cut_to = cuts[place]
            if cut_from >= end:
                break
            if start < cut_from:
                left.append((start, cut_from))
            if start < cut_to:
                start = cut_to
                if start >= end:
                    break
            passed = cut_to
            place += 1
        if start < end:
            left.append((start, end))
    return left


def in_both(some: Iterable[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """Return where two lists meet. others: ordered and without overlap."""
    both: list[Stretch] = []
    for start, end in some:
        place = _first_after(others, start)
        while place < len(others) and others[place][0] < end:
            both.append((max(start, others[place][0]), min(end, others[place][1])))
            place += 1
    return both


def _first_after(stretches: Sequence[Stretch], number: int) -> int:
    """Return the place of the first stretch that ends after a number; it may have begun before."""
    place = bisect_left(stretches, (number, number))
    return place - 1 if place and stretches[place - 1][1] > number else place
