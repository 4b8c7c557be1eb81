import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.artifact import ARTIFACTS, read_card
from classifier.complexity import ComplexityModel, PromptShape, p_adequate
from classifier.encoder import OnnxEncoder
from classifier.errors import ArtifactError
from classifier.rules import RuleScorer


@cache
def encoder() -> OnnxEncoder:
    return OnnxEncoder.load()


@cache
def model() -> ComplexityModel:
    return ComplexityModel.load(encoder_id=encoder().encoder_id)


def _shape(text: str) -> PromptShape:
    return PromptShape(text=text, n_chars_total=len(text))


def _score(scorer: ComplexityModel | RuleScorer, *texts: str) -> np.ndarray:
    return scorer.score(encoder().encode(texts), [_shape(text) for text in texts])


SCORERS: list[Callable[[], ComplexityModel | RuleScorer]] = [model, RuleScorer]


@pytest.mark.parametrize("scorer", SCORERS, ids=["fitted", "rules"])
def test_scores_are_probabilities_one_per_tier_and_known_model(
    scorer: Callable[[], ComplexityModel | RuleScorer],
) -> None:
    """Both scorers have one surface: shape (n, T + M), float32, in [0, 1]."""
    found = _score(scorer(), "hello", "")

    assert found.shape == (2, len(scorer().tiers) + len(scorer().models))
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    assert list(scorer().tiers) == sorted(scorer().tiers)


@pytest.mark.parametrize("scorer", SCORERS, ids=["fitted", "rules"])
def test_no_prompts_give_no_scores(
    scorer: Callable[[], ComplexityModel | RuleScorer],
) -> None:
    """Zero prompts are not an error."""
    nothing = np.zeros((0, 384), dtype=np.float32)

    width = len(scorer().tiers) + len(scorer().models)
    assert scorer().score(nothing, []).shape == (0, width)


@pytest.mark.parametrize("scorer", SCORERS, ids=["fitted", "rules"])
@settings(deadline=None, max_examples=25)
@given(text=st.text(max_size=300), turns=st.integers(1, 40), tools=st.integers(0, 90))
def test_an_abler_model_is_never_less_adequate(
    scorer: Callable[[], ComplexityModel | RuleScorer], text: str, turns: int, tools: int
) -> None:
    """Along the tiers P(adequate) never falls, for any prompt at all."""
    shape = PromptShape(text=text, n_turns=turns, n_chars_total=len(text), n_tools=tools)

    (found,) = scorer().score(encoder().encode([text]), [shape])

    assert (np.diff(found[: len(scorer().tiers)]) >= 0).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=["fitted", "rules"])
def test_a_proof_is_harder_than_a_greeting(
    scorer: Callable[[], ComplexityModel | RuleScorer],
) -> None:
    """The least that a measure of complexity must know."""
    greeting, proof = _score(
        scorer(),
        "Good morning, how are you?",
        "Find all functions f such that f(x+f(y)) = f(x)+y for all real x, y and prove it.",
    )

    n_tiers = len(scorer().tiers)
    assert (greeting[:n_tiers] > proof[:n_tiers]).all()


def test_a_prompt_scores_alike_alone_and_among_others() -> None:
    """Batching must not change a routing decision."""
    texts = ["hello", "What is 3*7?", "def f(x): return x"]

    together = _score(model(), *texts)

    for row, text in zip(together, texts, strict=True):
        assert row == pytest.approx(_score(model(), text)[0], abs=1e-3)


def test_models_of_training_are_known_by_any_of_their_names() -> None:
    """The abilities come with the artifact, and their order is the obvious one."""
    mini, large = model().ability("openai/gpt-4o-mini-2024-07-18"), model().ability("gpt-4o")
    tiny = model().ability("llama-2-7b-chat")

    assert mini is not None
    assert large is not None
    assert tiny is not None
    assert tiny < mini < large
    assert model().ability("acme-1") is None


def test_a_model_of_training_has_a_score_of_its_own() -> None:
    """It is found under any of its names; a model that training never met has none."""
    own = model().head("openai/gpt-4o-mini-2024-07-18")

    assert own == model().head("gpt-4o-mini")
    assert own is not None
    assert own >= len(model().tiers)
    assert model().head("acme-1") is None


def test_the_prior_places_dear_models_above_cheap_ones() -> None:
    """An unknown model starts from its price."""
    assert model().ability_prior(0.05, 0.2) < model().ability_prior(10.0, 30.0)


def test_an_easy_prompt_stays_cheap_by_gap() -> None:
    """Where all do well, the strong model gains less than on a prompt in between."""
    easy, middling = _score(model(), "hi", "A train leaves at 8 at 60 mph. When does it arrive?")

    def gap(row: np.ndarray) -> float:
        tiers = row[: len(model().tiers)].tolist()
        weak, strong = (p_adequate(tiers, model().tiers, a) for a in (-0.3, 1.0))
        return strong - weak

    assert gap(easy) < gap(middling)


def test_vectors_of_another_encoder_are_refused() -> None:
    """A model reads the space it was fitted in; the error says how to get one that fits."""
    with pytest.raises(ArtifactError, match=r"encoder_id.*python -m training complexity"):
        ComplexityModel.load(encoder_id="another-encoder")


def test_other_features_are_refused(tmp_path: Path) -> None:
    """A feature that changed its meaning would be read as the old one."""
    shutil.copytree(ARTIFACTS / "complexity", tmp_path / "complexity")
    card = tmp_path / "complexity" / "card.json"
    card.write_text(card.read_text().replace('"shape-2"', '"shape-0"'))

    with pytest.raises(ArtifactError, match="feature_version"):
        ComplexityModel.load(tmp_path / "complexity", encoder_id=encoder().encoder_id)


def test_the_card_names_every_benchmark_and_its_terms() -> None:
    """Whoever judges the model must know what it was trained on."""
    card = read_card(ARTIFACTS / "complexity", kind="complexity")

    sources = " ".join(card["sources"])
    assert card["benchmarks"]
    assert all(f"{name}:" in sources for name in card["benchmarks"])
    assert "assumed, not measured" in sources
    assert len(card["numbers"]["seeds"]) >= 3


def test_rules_know_no_model_and_say_who_they_are() -> None:
    """The fallback is visible: its id is in every decision."""
    assert RuleScorer().scorer_id == "rules-1"
    assert RuleScorer().ability("gpt-4o") is None
