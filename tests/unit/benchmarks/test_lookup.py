from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import cli, lookup
from benchmarks.errors import UnusableInput
from benchmarks.lookup import LookedUp
from cache.normalize import canonical


def _one(bare_ms: float, *stages_ms: float, is_judged: bool = True) -> LookedUp:
    return LookedUp(
        bare_ms=bare_ms, total_ms=sum(stages_ms), stages_ms=stages_ms, is_judged=is_judged,
        is_hit=False,
    )  # fmt: skip


def test_figures_of_two_queries() -> None:
    """Medians over medians, and stages as shares of all the time spent."""
    found = lookup.figures([_one(2.0, 2.0, 0.5, 0.25, 0.25), _one(4.0, 4.0, 1.5, 0.75, 0.75)])

    assert (found["queries"], found["judged"], found["hits"]) == (2, 2, 0)
    assert (found["encode_ms"]["p50"], found["lookup_ms"]["p50"]) == (3.0, 5.0)
    assert found["ratio_p50"] == pytest.approx(5 / 3)
    assert found["stages"]["search"] == {"p50": 1.0, "p99": pytest.approx(1.49), "share": 0.2}
    assert sum(stage["share"] for stage in found["stages"].values()) == pytest.approx(1)


def test_time_is_counted_while_the_block_lasts_alone() -> None:
    """Also of a call that fails; afterwards the class is as it was."""

    class Worker:
        def work(self, *, fails: bool) -> str:
            if fails:
                raise KeyError
            return "done"

    before, worker = Worker.work, Worker()

    with lookup.timed(Worker, "work") as spent:
        assert worker.work(fails=False) == "done"
        first = spent.take()
        with pytest.raises(KeyError):
            worker.work(fails=True)

    assert Worker.work is before
    assert first > 0
    assert spent.take() > 0
    assert spent.take() == 0
    assert spent.owner is worker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        {"text": "how do i bake bread", "group": "bread"},
        {"text": "the way to bake bread", "group": "bread"},
        {"text": "how  do i bake bread", "group": "bread"},
        {"text": "why is the sky blue", "group": "sky"},
        {"text": "who built the bridge"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_group_gives_an_entry_and_another_wording_that_asks(file: Path) -> None:
    """The file's own wordings first, made ones where it has no more; entries are topped up."""
    texts = lookup.texts_of(file, 20, 3, seed=0)

    bread = {"how do i bake bread", "the way to bake bread"}
    assert canonical(texts.queries[0]) in bread
    assert bread - {canonical(texts.queries[0])} <= {canonical(text) for text in texts.entries}
    assert {"why is the sky blue", "who built the bridge"} <= set(texts.entries)
    assert (len(texts.entries), len(texts.queries)) == (20, 3)


@pytest.mark.parametrize("has_file", [True, False])
@pytest.mark.parametrize(("n_entries", "n_queries"), [(1, 1), (2, 5), (300, 40)])
def test_no_query_is_stored_and_nothing_comes_twice(
    has_file: bool, n_entries: int, n_queries: int, file: Path
) -> None:
    """An exact repeat would never come to the near layer; the same seed gives the same texts."""
    texts = lookup.texts_of(file if has_file else None, n_entries, n_queries, seed=3)

    stored, asked = (set(map(canonical, part)) for part in (texts.entries, texts.queries))
    assert (len(stored), len(asked)) == (n_entries, n_queries)
    assert not stored & asked
    assert texts == lookup.texts_of(file if has_file else None, n_entries, n_queries, seed=3)


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    """File and row, whatever the order in which they are taken."""
    path = tmp_path / "odd.jsonl"
    path.write_text('{"question": "why"}\n', encoding="utf-8")

    with pytest.raises(UnusableInput, match="row 1: expected a string in 'text'"):
        lookup.texts_of(path, 1, 1, seed=0)


def test_a_full_cache_is_looked_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """300 entries through the real store and index: queries are judged, and every stage takes time.

    Wordings that differ in case and punctuation are hits, and their answers were read from disk.
    """
    code = cli.main(["lookup", str(file), "--entries", "300", "--queries", "12", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["entries"], found["queries"]) == (300, 12)
    assert found["judged"] >= 10
    assert found["hits"] >= 8
    assert found["ratio_p50"] > 0
    assert all(stage["p50"] > 0 for stage in found["stages"].values())
    assert len(found["data_sha256"]) == 64


def test_no_entries_are_no_cache(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and which option."""
    assert cli.main(["lookup", "--entries", "0"]) == 2
    assert "--entries is at least 1" in capsys.readouterr().err
