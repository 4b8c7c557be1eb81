from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedding
from numpy.typing import NDArray

from benchmarks import cli, pairs
from benchmarks.datasets import Pair
from benchmarks.pairs import Judged
from benchmarks.shipped import shipped_policy
from cache.normalize import canonical
from cache.policy import WordingVerifier
from cache.ports import Prompt
from cache.types import MissReason, OperatingPoint, Vectors


class LetterEncoder:
    """Vectors of letter counts: texts of the same letters are alike. Sees 60 characters."""

    encoder_id = "letters"
    dim = 26

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Count letters."""
        counts = np.array(
            [[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], dtype=float
        )
        lengths = np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
        return np.asarray(counts / lengths, dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> list[FakeEmbedding]:
        """Return vectors alone."""
        return [FakeEmbedding(vector) for vector in self.encode(texts)]

    def unseen(self, text: str) -> str:
        """Return what lies beyond the window."""
        return text[60:]


class CosineVerifier:
    """P(right) is the cosine."""

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return the cosines."""
        return similarities


def _judge(a: str, b: str, cosine: float = 0.99) -> Judged:
    pair = Pair(a=a, b=b, duplicate=True, split=None, test=None)
    subject = pairs.Subject(
        policy=shipped_policy(),
        point=OperatingPoint(min_p_right=0.9),
        verifier=CosineVerifier(),
        unseen_of=LetterEncoder().unseen,
        embeddings={
            canonical(b): FakeEmbedding(np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)),
            canonical(a): FakeEmbedding(np.array([1, 0], np.float32)),
        },
    )
    return pairs.judge(pair, subject)


# One pair


def test_equal_texts_are_exact_whatever_their_white_space() -> None:
    """NFC, trimmed, white space collapsed: P(right) is 1, and it is served."""
    found = _judge("How do I bake bread?", "  How do\tI bake  bread? ", cosine=0.1)

    assert (found.p_right, found.is_served, found.reason) == (1.0, True, None)


def test_case_makes_another_text() -> None:
    """Case and punctuation stay: such a pair is judged by its cosine, not exact."""
    assert _judge("How do I polish it?", "How do I Polish it?", cosine=0.5).p_right < 1


def test_a_veto_is_a_probability_of_0() -> None:
    """Another number: the guard objects however similar the texts are."""
    found = _judge("Convert 15 miles to kilometres", "Convert 50 miles to kilometres")

    assert (found.p_right, found.is_served, found.reason) == (0.0, False, MissReason.GUARD_NUMBER)


def test_a_similar_pair_is_served_and_a_distant_one_has_a_probability_all_the_same() -> None:
    """Nothing is too far to be given a probability; the order is the cosine's."""
    a, b = "How do I bake a loaf of bread?", "What is the way to bake a loaf of bread?"

    near, far = _judge(a, b, cosine=0.99), _judge(a, b, cosine=0.6)

    assert near.is_served
    assert not far.is_served
    assert far.reason is MissReason.BELOW_THRESHOLD
    assert 0 < far.p_right < near.p_right


def test_texts_that_differ_beyond_the_window_are_no_duplicates() -> None:
    """What the encoder does not see must be identical."""
    seen = "Explain in simple words how the old stone bridge over the river stands, "
    found = _judge(seen + "for a child", seen + "for an engineer")

    assert (found.p_right, found.reason) == (0.0, MissReason.BEYOND_WINDOW)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("yes please", "yes, please", MissReason.CONTENT_FREE),
        ("What is the weather like today?", "What's the weather like today?", None),
        ("Wie backe ich ein gutes Brot zu Hause?", "Wie backe ich gutes Brot?", None),
    ],
    ids=["content-free", "time-bound", "another language"],
)
def test_the_rules_on_texts_hold_as_in_production(
    a: str, b: str, reason: MissReason | None
) -> None:
    """Such texts are not served as near-duplicates, though their probability is given."""
    found = _judge(a, b)

    assert not found.is_served
    assert found.reason is not None
    if reason is not None:
        assert found.reason is reason


def test_the_decision_is_timed() -> None:
    """Above 0, and within reason: vectors are at hand."""
    assert 0 < _judge("Who wrote the letter?", "Who was it that wrote this?").decision_ms < 100


# Figures


def _judged(p_right: float, *, is_served: bool) -> Judged:
    reason = None if is_served else MissReason.BELOW_THRESHOLD
    return Judged(
        p_right=p_right, similarity=p_right, is_served=is_served, reason=reason, decision_ms=0.5
    )


def test_figures_of_four_pairs() -> None:
    """Two served, one of them wrong; two positives, one of them served."""
    judged = [
        _judged(0.9, is_served=True),
        _judged(0.8, is_served=True),
        _judged(0.7, is_served=False),
        _judged(0.0, is_served=False),
    ]

    found = pairs.figures(judged, np.array([1, 0, 1, 0]))

    assert (found["n"], found["positives"]) == (4, 2)
    assert found["ap"] == pytest.approx(5 / 6)
    assert found["recall_at_precision"]["0.90"] == 0.5
    assert found["default"]["served"] == 2
    assert found["default"]["error_rate"] == 0.5
    assert found["default"]["valid_hit_rate"] == 0.5
    assert found["default"]["misses"] == {"below_threshold": 2}
    assert found["ms_per_decision"] == {"p50": 0.5, "p99": 0.5}


def test_figures_where_nothing_is_served() -> None:
    """Undefined is null: no error rate of nothing."""
    found = pairs.figures([_judged(0.2, is_served=False)], np.array([0]))

    assert found["default"]["error_rate"] is None
    assert found["default"]["error_rate_upper95"] is None
    assert found["default"]["valid_hit_rate"] is None
    assert found["ap"] is None


def test_the_surest_wrong_pair_comes_first() -> None:
    """What is served and wrong, by falling P(right); what is right or not served is not named."""
    judged = [
        _judged(0.85, is_served=True),
        _judged(0.99, is_served=True),
        _judged(0.95, is_served=True),
        _judged(0.97, is_served=False),
    ]

    assert pairs.worst_first(judged, np.array([0, 1, 0, 0])) == [2, 0]


# The scenario


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [
        {"a": "How do I bake bread?", "b": "How do I bake bread?", "duplicate": 1, "split": "dev"},
        {"a": "Is tea good for you?", "b": "Is tea bad for you?", "duplicate": 0, "split": "dev"},
        {"a": "Where is the moon now?", "b": "How old is Ann?", "duplicate": 0, "split": "train"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_is_judged_row_by_row_and_no_text_is_stored(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every key of the contract is there; the result holds row numbers, never texts."""
    monkeypatch.setattr(pairs, "shipped_encoder", LetterEncoder)
    monkeypatch.setattr(pairs, "shipped_verifier", WordingVerifier)
    monkeypatch.setattr(pairs, "original_encoder", LetterEncoder)
    out = tmp_path / "result.json"

    code = cli.main(["pairs", str(file), "--static", "--json", "--out", str(out)])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["n"], found["positives"]) == (3, 1)
    assert found["default"]["served"] >= 1
    assert {"ap", "p_chr_auc", "recall_at_precision", "ece", "ms_per_decision"} <= set(found)
    assert set(found["static"]) == {"ap", "recall_at_precision"} == set(found["static_shipped"])
    assert set(found["recall_at_precision"]) == {"0.90", "0.95", "0.98", "0.99"}
    assert "bread" not in out.read_text()


def test_a_split_and_a_sample_leave_rows_out(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--split names rows, --limit draws some of them by the seed."""
    monkeypatch.setattr(pairs, "shipped_encoder", LetterEncoder)
    monkeypatch.setattr(pairs, "shipped_verifier", WordingVerifier)

    assert pairs.run(_args(file, split="dev"))["n"] == 2
    assert pairs.run(_args(file, limit=1))["n"] == 1


def test_wrong_cases_are_shown_on_the_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--show lists what was served and is wrong by its label, on stderr."""
    monkeypatch.setattr(pairs, "shipped_encoder", LetterEncoder)
    monkeypatch.setattr(pairs, "shipped_verifier", WordingVerifier)
    row = {"a": "Who painted the ceiling?", "b": "who painted the ceiling?", "duplicate": 0}
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")

    found = pairs.run(_args(path, show=5))

    captured = capsys.readouterr()
    assert found["wrong_rows"] == [0]
    assert "ceiling" in captured.err
    assert captured.out == ""


def _args(
    file: Path, *, split: str | None = None, limit: int | None = None, show: int = 0
) -> argparse.Namespace:
    return argparse.Namespace(
        file=file, split=split, limit=limit, show=show, static=False, seed=0, vectors=None
    )
