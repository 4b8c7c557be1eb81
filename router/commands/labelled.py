"""Labelled prompts from a file, scored as the service would score them."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cache.embedded.vault import vault_of
from cache.normalize import canonical
from classifier.complexity import ComplexityModel
from classifier.encoder import OnnxEncoder
from classifier.local import LocalFit, LocalLabel, Origin
from classifier.shape import PromptShape
from router.behind import MODELS_FILE, Behind
from router.ledger.errors import LedgerError
from router.ledger.reader import open_to_read
from router.ledger.verdicts import read_verdicts
from router.probed import Row, read_probes
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
    return vectors_and_scores_of(rows, encoder, scorer)[1]


def vectors_and_scores_of(
    rows: Sequence[Labelled], encoder: OnnxEncoder, scorer: ComplexityModel
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the prompts' vectors, shape (n, dim), and what the scorer says of each."""
    parts, encoded = [], []
    for at in range(0, len(rows), _BATCH):
        part = rows[at : at + _BATCH]
        vectors = encoder.encode([canonical(row.prompt) for row in part])
        shapes = [
            PromptShape(text=row.prompt, n_chars_total=len(row.prompt), n_tools=row.n_tools)
            for row in part
        ]
        parts.append(scorer.score(vectors, shapes))
        encoded.append(vectors)
    return np.concatenate(encoded), np.concatenate(parts)


def fits_of(
    settings: Settings,
    namespace: str,
    probabilities: Callable[[tuple[float, ...]], Sequence[float]],
    scorer: str,
) -> dict[str, LocalFit]:
    """Return what the service made of its labels so far, by model; see ``router.learned``."""
    places = {model: at for at, model in enumerate(settings.models)}
    folder = settings.service.data_folder
    labels: dict[str, list[LocalLabel]] = {model: [] for model in places}

    def add(model: str, row: Row, origin: Origin) -> None:
        vector, scores, worth = row
        p = probabilities(scores) if model in places else ()
        if p:
            label = LocalLabel(vector=vector, p=p[places[model]], worth=worth, origin=origin)
            labels[model].append(label)

    behind = Behind(folder / MODELS_FILE, time.time)
    behind.go_by(settings.models)
    probes = read_probes(folder, scorer, {}, behind.of) if folder.is_dir() else {}
    for model, rows in probes.items():
        for row in rows:
            add(model, row, Origin.PROBE)
    try:
        vault = vault_of(settings.data_keys.reveal())
        with closing(open_to_read(folder, vault)) as connection:
            verdicts = read_verdicts(connection, scorer) if namespace else []
    except LedgerError:
        verdicts = []  # nothing has run there yet
    for one in verdicts:
        if one.namespace == namespace and one.at_s >= behind.since_s(one.model):
            add(one.model, (one.vector, one.scores, one.worth), one.origin)
    fits = {model: LocalFit.fit(of_model) for model, of_model in labels.items()}
    return {model: fit for model, fit in fits.items() if fit is not None}


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
