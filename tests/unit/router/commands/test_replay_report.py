from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from router.commands import replay_report
from router.commands.replay_report import NearHit, Replayed, least_sure, near_table


def _hit(line: int, p_right: float, similarity: float = 0.95) -> NearHit:
    return NearHit(line, 1, similarity, p_right, f"asked {line}", "stored 1")


def test_the_least_sure_hits_are_shown_first() -> None:
    """By falling risk: lowest P(right), of equals the least similar; the title says of how many."""
    found = Replayed()
    for hit in (_hit(2, 0.99), _hit(3, 0.82, 0.97), _hit(4, 0.82, 0.94), _hit(5, 0.9)):
        found.note_near(hit)
    console = Console(width=120, record=True, file=StringIO())

    console.print(near_table(found, 3))

    shown = console.export_text()
    assert "the 3 least sure of 4" in shown
    assert shown.index("asked 4") < shown.index("asked 3") < shown.index("asked 5")
    assert "asked 2" not in shown


def test_of_too_many_hits_the_least_sure_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A risky hit late in a long log is not lost to sure ones before it."""
    monkeypatch.setattr(replay_report, "MAX_NEAR_HITS", 3)
    found = Replayed()

    for line, p_right in enumerate([0.99, 0.98, 0.85, 0.97, 0.96, 0.95, 0.81, 0.94]):
        found.note_near(_hit(line, p_right))

    assert [hit.p_right for hit in least_sure(found.near)] == [0.81, 0.85, 0.94]
    assert found.n_near == 8
    assert len(found.near) < 6
