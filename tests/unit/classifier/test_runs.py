"""Texts of like length go through a model together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from classifier.runs import runs_of_like_length

LENGTHS = st.lists(st.integers(1, 128), max_size=200)


@given(lengths=LENGTHS, ratio=st.floats(1, 4), slack=st.integers(0, 16))
def test_every_text_is_in_one_run_and_none_is_much_longer_than_another(
    lengths: list[int], ratio: float, slack: int
) -> None:
    """So the padding of a run is bounded, and nothing is left out."""
    runs = list(runs_of_like_length(lengths, ratio=ratio, slack=slack))

    assert sorted(position for run in runs for position in run) == list(range(len(lengths)))
    for run in runs:
        widths = [lengths[position] for position in run]
        assert max(widths) <= ratio * min(widths) + slack


@given(lengths=LENGTHS)
def test_a_run_is_bounded_with_its_padding(lengths: list[int]) -> None:
    """However many texts wait; a single one may be as long as it is."""
    for run in runs_of_like_length(lengths, ratio=9, slack=99):
        assert len(run) == 1 or len(run) * max(lengths[position] for position in run) <= 1024


def test_nothing_makes_no_run() -> None:
    """A model is never run on an empty batch."""
    assert list(runs_of_like_length([], ratio=1.0, slack=0)) == []
