"""The shipped pair model. What it is worth is measured in benchmarks; here is what it promises."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from classifier.artifact import ARTIFACTS
from classifier.encoder import OnnxEncoder
from classifier.errors import ArtifactError
from classifier.pair import PairModel


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with its packed tokens."""

    text: str
    tokens: bytes


@lru_cache(maxsize=1)
def encoder() -> OnnxEncoder:
    return OnnxEncoder.load()


@lru_cache(maxsize=1)
def model() -> PairModel:
    return PairModel.load(encoder_id=encoder().encoder_id)


def p_right(asked: str, *stored: str) -> list[float]:
    texts = [asked, *stored]
    one, *others = encoder().embed(texts)
    cosines = np.array([one.vector @ other.vector for other in others], dtype=np.float32)
    prompts = [Prompt(t, e.tokens) for t, e in zip(texts, [one, *others], strict=True)]
    found: list[float] = (
        model().p_same_answer([prompts[0]] * len(others), prompts[1:], cosines).tolist()
    )
    return found


def test_a_rewording_is_surer_than_a_near_miss() -> None:
    """The same words with other roles, another object, a negation: less probable each time."""
    for asked, right, wrong in [
        ("How do I pause my subscription?", "how can I pause my subscription",
         "How do I cancel my subscription?"),
        ("Can a bad person become good?", "is it possible for a bad person to become good",
         "Can a good person become bad?"),
        ("What is the best way to cook rice?", "What's the best method of cooking rice?",
         "What is the best way to store rice?"),
    ]:  # fmt: skip
        surer, less = p_right(asked, right, wrong)
        assert surer > less


def test_every_candidate_has_its_own_probability() -> None:
    """In order, in [0, 1], and the same alone as in company (to float rounding)."""
    stored = ["how do I export an invoice", "why is the sky blue", "export invoice as pdf how"]

    together = p_right("How do I export an invoice as PDF?", *stored)
    alone = [p_right("How do I export an invoice as PDF?", text)[0] for text in stored]

    assert together == pytest.approx(alone, abs=1e-4)
    assert all(0 <= p <= 1 for p in together)
    assert min(together) == together[1]


def test_swapping_the_prompts_changes_nothing() -> None:
    """One answer serves both, or neither."""
    one, two = "is it safe to eat raw eggs", "can raw eggs make you ill"

    assert p_right(one, two) == pytest.approx(p_right(two, one), abs=1e-4)


def test_what_has_no_token_vectors_is_not_judged() -> None:
    """An entry of an encoder before, or a query that could not be embedded."""
    (full,) = encoder().embed(["any text"])
    cosines = np.ones(1, dtype=np.float32)

    assert model().p_same_answer(
        [Prompt("a", full.tokens)], [Prompt("b", b"")], cosines
    ).tolist() == [0.0]
    assert model().p_same_answer(
        [Prompt("a", b"")], [Prompt("b", full.tokens)], cosines
    ).tolist() == [0.0]


def test_a_stricter_target_never_has_a_laxer_threshold() -> None:
    """And no target at all has none: exact hits only."""
    found = [model().min_p_right(target) for target in (0.0, 0.001, 0.005, 0.01, 0.02, 0.1, 1.0)]

    known = [p for p in found if p is not None]
    assert found[0] is None
    assert known
    assert known == sorted(known, reverse=True)


def test_a_model_of_another_encoder_is_refused(tmp_path: Path) -> None:
    """Its token vectors would be noise."""
    folder = tmp_path / "pair"
    shutil.copytree(ARTIFACTS / "pair", folder)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["encoder_id"] = "another"
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")

    with pytest.raises(ArtifactError, match="another"):
        PairModel.load(folder, encoder_id=encoder().encoder_id)


def test_encoder_tokenizer_and_pair_model_fit_in_27_mb() -> None:
    """A sidecar is carried everywhere."""
    folders = (ARTIFACTS / "encoder", ARTIFACTS / "pair")
    models = [path for folder in folders for path in folder.iterdir() if path.suffix != ".md"]

    assert sum(path.stat().st_size for path in models) <= 27_000_000
