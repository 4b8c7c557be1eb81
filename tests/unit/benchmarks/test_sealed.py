from __future__ import annotations

import argparse

import pytest

from benchmarks import sealed
from benchmarks.errors import UnusableInput


def test_a_ratio_compares_rounds_that_stood_side_by_side() -> None:
    """Twice as slow in two of three rounds is 2, whatever the machine did in between."""
    plain = [dict.fromkeys(sealed.WORK, s) for s in (1.0, 10.0, 2.0)]
    with_key = [dict.fromkeys(sealed.WORK, s) for s in (2.0, 20.0, 2.0)]

    found = sealed.figures({"plain": plain, "sealed": with_key}, 100)

    assert found["store"] == {"plain_per_s": 50.0, "sealed_per_s": 50.0, "ratio": 2.0}


def test_a_small_run_measures_every_kind_of_work() -> None:
    """Each takes time, with a key and without."""
    found = sealed.run(argparse.Namespace(entries=64, rounds=1, seed=0))

    for work in sealed.WORK:
        assert found[work]["plain_per_s"] > 0
        assert found[work]["ratio"] > 0


def test_too_few_entries_are_refused() -> None:
    """With what it takes."""
    with pytest.raises(UnusableInput, match="at least 64 entries"):
        sealed.run(argparse.Namespace(entries=3, rounds=1, seed=0))
