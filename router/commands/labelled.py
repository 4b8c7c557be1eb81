"""Labelled prompts from a file, scored as the service would score them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cache.normalize import canonical
from classifier.complexity import ComplexityModel
from classifier.encoder import OnnxEncoder
from classifier.shape import PromptShape
from router.settings import ModelSpec, Settings

_BATCH = 64


class UnusableLabels(ValueError):
    """The file is no labelled data, or says nothing of the configured models."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt and how some models did on it.

    Attributes:
        prompt: what was asked.
        n_tools: tool schemas offered with it.
        scores: model name, as in the file, to what its answer was worth, in [0, 1].
    """

    prompt: str
    n_tools: int
    scores: Mapping[str, float]

    def score_of(self, model: ModelSpec) -> float | None:
        """Return a configured model's score, by its own name or its provider's."""
        found = self.scores.get(model.name)
        return self.scores.get(model.provider_model) if found is None else found


def read_labelled(file: Path) -> list[Labelled]:
    """Read lines ``{"prompt": ..., "outcomes": {MODEL: SCORE or {"score": SCORE}}}``; .gz too.

    Raises:
        UnusableLabels: a line is none; the message names it.
        OSError: the file cannot be read.
    """
    return [_row(file, number, line) for number, line in _lines(file)]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with (
        gzip.open(file, "rt", encoding="utf-8")
        if file.suffix == ".gz"
        else file.open(encoding="utf-8") as lines
    ):
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line


def _row(file: Path, number: int, line: str) -> Labelled:
    try:
        row = json.loads(line)
        outcomes = row["outcomes"]
        scores = {model: _score(one) for model, one in outcomes.items()}
        tools = row.get("tools") or []
        n_tools = len(tools) if isinstance(tools, list) else 1
        return Labelled(prompt=str(row["prompt"]), n_tools=n_tools, scores=scores)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableLabels(
            f'{file.name}:{number}: expected {{"prompt": text, "outcomes": {{model: score in '
            f"[0, 1]}}}}, got {line.strip()[:80]!r} ({error})"
        ) from error


def _score(outcome: Any) -> float:  # noqa: ANN401  what JSON holds
    score = float(outcome["score"] if isinstance(outcome, dict) else outcome)
    if not 0 <= score <= 1:
        raise ValueError(f"a score lies in [0, 1], got {score}")
    return score


def scores_of(
    rows: Sequence[Labelled], encoder: OnnxEncoder, scorer: ComplexityModel
) -> npt.NDArray[np.float32]:
    """Return what the scorer says of each prompt, shape (n, tiers and known models)."""
    parts = []
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        vectors = encoder.encode([canonical(row.prompt) for row in part])
        shapes = [
            PromptShape(text=row.prompt, n_chars_total=len(row.prompt), n_tools=row.n_tools)
            for row in part
        ]
        parts.append(scorer.score(vectors, shapes))
    return np.concatenate(parts)


def load_models() -> tuple[OnnxEncoder, ComplexityModel]:
    """Load what the service scores with.

    Raises:
        ArtifactError: an artifact is missing or unfit.
    """
    encoder = OnnxEncoder.load()
    return encoder, ComplexityModel.load(encoder_id=encoder.encoder_id)


def models_with_labels(rows: Sequence[Labelled], settings: Settings) -> list[ModelSpec]:
    """Return the configured models that every row has an outcome of.

    Raises:
        UnusableLabels: fewer than two, or not the baseline.
    """
    found = [
        model
        for model in settings.models.values()
        if all(row.score_of(model) is not None for row in rows)
    ]
    names = [model.name for model in found]
    if len(names) < 2 or settings.routing.baseline not in names:
        raise UnusableLabels(
            f"every row needs outcomes of the baseline {settings.routing.baseline} and of one more "
            f"configured model; complete are: {', '.join(names) or 'none'}"
        )
    return found
