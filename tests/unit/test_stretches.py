"""Stretches of whole numbers, against the numbers one by one."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from consult.domain.stretches import Stretch, in_both, merged, without

STRETCHES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1])), max_size=6
)


def numbers(stretches: list[Stretch]) -> set[int]:
    return {number for start, end in stretches for number in range(start, end)}


@given(STRETCHES)
def test_merged_stretches_hold_the_same_numbers_and_keep_apart(stretches: list[Stretch]) -> None:
    joined = merged(stretches)
    assert numbers(joined) == numbers(stretches)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(joined))


@given(STRETCHES, STRETCHES)
def test_cuts_take_their_numbers_out_of_each_stretch_however_these_are_ordered(
    stretches: list[Stretch], cuts: list[Stretch]
) -> None:
    left = without(stretches, merged(cuts))
    one_by_one = [
        part for stretch in stretches for part in merged((n, n + 1) for n in numbers([stretch]) - numbers(cuts))
    ]
    assert left == one_by_one


@given(STRETCHES, STRETCHES)
def test_two_lists_meet_where_both_have_a_number(some: list[Stretch], others: list[Stretch]) -> None:
    assert numbers(in_both(merged(some), merged(others))) == numbers(some) & numbers(others)
