from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import demo
from benchmarks.datasets import Grouped
from benchmarks.demo_report import Asked, figures, judge, row_verdict
from benchmarks.demo_traffic import Row, Traffic, draw, read_row, read_traffic
from benchmarks.errors import UnusableInput
from benchmarks.replay import Verdict
from router.ledger.types import SavingsReport, Totals


def _row(group: str, *, user: str = "", kind: str = "", different: list[str] | None = None) -> Row:
    told_apart = None if different is None else frozenset(different)
    labels = Grouped(text=group, group=group, different=told_apart)
    return Row(text=f"text of {group}", labels=labels, user=user, kind=kind)


def _result(rows: list[Row], asked: list[Asked]) -> dict[str, object]:
    traffic = Traffic(rows=rows, order=[one.row for one in asked], rule="as listed")
    savings = SavingsReport(totals=Totals(), groups=(), stages=(), assumptions=())
    return figures(traffic, asked, savings, 2.0)


def test_rows_enough_are_each_asked_once() -> None:
    """A file with more rows than requests is sampled without repeats of its own rows."""
    order, rule = draw(50, 20, seed=3)

    assert len(set(order)) == len(order) == 20
    assert "each once" in rule


def test_few_rows_are_asked_again_and_again_some_more_than_others() -> None:
    """4,000 requests of a thousand rows repeat as real traffic does, and reach most rows."""
    order, rule = draw(1_000, 4_000, seed=3)

    times = sorted((order.count(row) for row in set(order)), reverse=True)
    assert len(order) == 4_000
    assert len(times) > 900
    assert times[0] > 10 * times[len(times) // 2]
    assert "weight" in rule


def test_the_seed_decides_the_order() -> None:
    """Two runs with one seed ask the same, with another seed something else."""
    assert draw(100, 300, 1) == draw(100, 300, 1)
    assert draw(100, 300, 1)[0] != draw(100, 300, 2)[0]


@pytest.mark.parametrize(
    "row", [{}, {"text": None}, {"text": "a\0b"}, {"text": "\ud800"}, {"prompt": ["a"]}]
)
def test_a_row_that_cannot_be_sent_is_skipped(row: dict[str, object]) -> None:
    """One odd row of a stranger's file does not end the demo."""
    assert read_row(row) is None


def test_a_file_without_any_prompt_is_refused(tmp_path: Path) -> None:
    """The sentence names the columns that are looked for."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "what?"}\n', encoding="utf-8")

    with pytest.raises(UnusableInput, match="'text' or 'prompt'"):
        read_traffic(path, 10, 0)


def test_prompt_serves_where_there_is_no_text(tmp_path: Path) -> None:
    """Routing files call the column ``prompt``."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "what?"}\n{"id": 1}\n', encoding="utf-8")

    traffic = read_traffic(path, 5, 0)

    assert [row.text for row in traffic.rows] == ["what?"]
    assert (traffic.n_skipped, traffic.order, traffic.is_labelled) == (1, [0] * 5, False)


def test_a_hit_is_judged_by_the_row_that_its_entry_was_made_for() -> None:
    """The answer's origin, not the nearest label, decides whether it was right."""
    rows = [_row("a"), _row("b"), _row("a")]
    asked = [
        Asked(row=0, outcome="miss", entry_id="7"),
        Asked(row=2, outcome="near", entry_id="7", p_right=0.9),
        Asked(row=1, outcome="near", entry_id="7", p_right=0.8),
        Asked(row=1, outcome="near", entry_id="7", p_right=0.8),
        Asked(row=0, outcome="exact", entry_id="99"),
    ]

    judged = judge(rows, asked)

    assert judged.counts["near", Verdict.RIGHT] == 1
    assert judged.counts["near", Verdict.WRONG] == 2
    assert judged.counts["exact", Verdict.UNJUDGED] == 1, "nobody knows entry 99"
    assert [(hit.asked.row, hit.stored, hit.n) for hit in judged.wrong] == [(1, 0, 2)]


def test_another_users_personal_answer_is_wrong_whatever_the_group() -> None:
    """A leak between users is never right."""
    mine, yours = (_row("order", user=user, kind="personal") for user in ("u1", "u2"))

    assert row_verdict(mine, yours) is Verdict.WRONG
    assert row_verdict(mine, mine) is Verdict.RIGHT


def test_groups_that_nobody_compared_are_unjudged() -> None:
    """Where rows say which groups differ, only those are wrong."""
    a, b, c = _row("a", different=["b"]), _row("b", different=[]), _row("c", different=[])

    assert row_verdict(a, b) is row_verdict(b, a) is Verdict.WRONG
    assert row_verdict(a, c) is Verdict.UNJUDGED


def test_the_result_holds_counts_and_no_text() -> None:
    """What is stored of a run carries row numbers only."""
    rows = [_row("a"), _row("b")]
    asked = [
        Asked(row=0, outcome="miss", entry_id="7", ms=30.0),
        Asked(row=1, outcome="near", entry_id="7", p_right=0.9, ms=2.0),
        Asked(row=1, error="UNAVAILABLE: gone"),
    ]

    result = _result(rows, asked)

    assert result["outcomes"] == {"miss": 1, "near": 1, "failed": 1}
    assert result["errors"] == {"UNAVAILABLE: gone": 1}
    assert result["wrong_rows"] == [[1, 0, 1]]
    assert result["requests_per_s"] == 1.5
    assert "text of" not in json.dumps(result)


def test_the_demo_runs_from_the_service_to_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A real service, a real client: every request ends, and the table adds up."""
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    args = parser.parse_args(["--requests", "60", "--seed", "1"])
    args.json, args.show = False, 1

    result = demo.run(args)

    shown = capsys.readouterr().out
    totals = result["savings"]["totals"]
    assert sum(result["outcomes"].values()) == totals["n_requests"] == 60
    assert "failed" not in result["outcomes"]
    assert totals["cost_nanos"] + totals["saved_nanos"] == totals["baseline_nanos"] > 0
    for words in ("Hits by the traffic's labels", "scripted", "baseline", "60 requests"):
        assert words in shown
