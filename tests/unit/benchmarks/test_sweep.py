from __future__ import annotations

import pytest

from benchmarks.sweep import around, swept


def test_finer_values_lie_between_the_best_and_its_neighbours() -> None:
    """Two on either side; at an end of the grid on one side only."""
    assert around(0.4, [0.1, 0.4, 1.0]) == pytest.approx([0.2, 0.3, 0.8, 0.6])
    assert around(0.1, [0.1, 0.4, 1.0]) == pytest.approx([0.3, 0.2])


def test_a_sweep_closes_in_on_the_best_value() -> None:
    """The peak at 0.37 lies between the coarse values; two rounds come within a few hundredths."""
    tried = swept(
        lambda value: -abs(value - 0.37),
        [0.0, 0.25, 0.5, 1.0],
        lambda t: max(t, key=t.__getitem__),
        "x",
    )

    assert list(tried) == sorted(tried)
    assert len(tried) == 4 + 4 + 4
    assert abs(max(tried, key=tried.__getitem__) - 0.37) < 0.03


def test_where_no_coarse_value_will_do_no_finer_one_is_tried() -> None:
    """Nothing to close in on."""
    assert list(swept(lambda value: value, [1.0, 2.0], lambda _: None, "x")) == [1.0, 2.0]
