"""Who scores the prompts of ``route``: the shipped model, or one refitted without some labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks import console
from benchmarks.datasets import DATA_VARIABLE, RoutingRow, data_dir, fold_of, routing
from benchmarks.encoding import encode_all
from benchmarks.errors import UnusableInput
from benchmarks.metrics import Floats
from benchmarks.shipped import complexity_card
from cache.types import Vectors
from classifier.abilities import p_adequate
from classifier.complexity import ComplexityModel
from classifier.complexity_fit import FitSettings, fit
from classifier.encoder import OnnxEncoder
from classifier.errors import ArtifactError
from classifier.shape import PromptShape

_LISTED = "benchmarks"  # the card's field
_CHARS_PER_TOKEN = 4
_PROBE_GRID = 81  # abilities tried between the outer tiers
_PRIOR_SPREAD = 1.0  # how far, in logits, a model's ability may lie from where it starts
_ENOUGH_TO_FIT = 100  # probed rows from which a fit on them alone beats placing models on the scale


class TierScorer(Protocol):
    """What the shipped and the refitted model have in common."""

    @property
    def tiers(self) -> Sequence[float]:
        """Abilities the first scores stand for, ascending."""

    @property
    def scorer_id(self) -> str:
        """Names the model."""

    def score(self, vectors: Vectors, shapes: Sequence[PromptShape]) -> Any:  # noqa: ANN401
        """Return P(adequate), shape (n, tiers and known models)."""

    def head(self, model_name: str) -> int | None:
        """Return which score is a model's own, None where it has none."""

    def ability(self, model_name: str) -> float | None:
        """Return a model's ability, None where training never met it."""

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the stated guess for such a model."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Rows with what a scorer reads of them."""

    rows: Sequence[RoutingRow]
    vectors: Vectors
    encoder: OnnxEncoder

    @classmethod
    def of(cls, rows: Sequence[RoutingRow], encoder: OnnxEncoder, keep: Path | None) -> Prompts:
        """Encode every prompt once."""
        texts = [row.prompt for row in rows]
        return cls(rows, encode_all(encoder, texts, "encoding", keep).of(texts), encoder)

    def __getitem__(self, rows: Sequence[int]) -> Prompts:
        """Return some of the rows."""
        chosen = list(rows)
        return Prompts([self.rows[i] for i in chosen], self.vectors[chosen], self.encoder)

    def __add__(self, other: Prompts) -> Prompts:
        """Return the rows of both."""
        vectors = np.concatenate([self.vectors, other.vectors])
        return Prompts([*self.rows, *other.rows], vectors, self.encoder)

    @property
    def shapes(self) -> list[PromptShape]:
        """What the service sees of such a request: one user turn, and its tools."""
        return [
            PromptShape(
                text=row.prompt,
                n_turns=1,
                n_chars_total=len(row.prompt),
                n_tools=len(row.tools),
            )
            for row in self.rows
        ]


class Exam:
    """Scores of the judged rows, and how to read P(adequate) of a model off them.

    Attributes:
        judged: row numbers whose labels no scorer saw, where labels were to be kept from it.
    """

    def __init__(self, prompts: Prompts, judged: Sequence[int]) -> None:
        self.judged = list(judged)
        self._prompts = prompts
        self._scorers: dict[int, TierScorer] = {}
        self._scores: dict[int, list[float]] = {}
        self._learnt: dict[str, float] = {}

    def mark(self, rows: Sequence[int], scorer: TierScorer) -> None:
        """Let a scorer score some rows."""
        part = self._prompts[rows]
        scores = np.asarray(scorer.score(part.vectors, part.shapes), dtype=np.float64)
        for i, score in zip(rows, scores.tolist(), strict=True):
            self._scorers[i], self._scores[i] = scorer, score

    def again(self, rows: Sequence[int], changed: Prompts, models: Sequence[str]) -> Floats:
        """Return P(adequate) of rows whose prompts changed, each from the scorer of its row.

        Args:
            rows: row numbers.
            changed: the same rows with other prompts, in this order.
            models: as in ``p_adequate``, whose shape it has.
        """
        other = Exam(changed, range(len(rows)))
        other._learnt = self._learnt
        of_scorer: dict[int, list[int]] = {}
        for place, i in enumerate(rows):
            of_scorer.setdefault(id(self._scorers[i]), []).append(place)
        for places in of_scorer.values():
            other.mark(places, self._scorers[rows[places[0]]])
        return other.p_adequate(range(len(rows)), models)

    def learn(self, rows: Sequence[int], models: Iterable[str]) -> None:
        """Place models by their outcomes on probed rows; the start is where they stood before.

        The most probable ability on a grid between the outer tiers: binomial likelihood of the
        outcomes, normal prior around the known ability (or the prior guess).
        """
        for model in models:
            seen = [i for i in rows if model in self._prompts.rows[i].outcomes]
            if not seen:
                continue
            scorer = self._scorers[seen[0]]
            start = self._ability(scorer, model)
            grid = np.linspace(scorer.tiers[0], scorer.tiers[-1], _PROBE_GRID)
            scores = np.array([self._prompts.rows[i].outcomes[model].score for i in seen])
            posterior = [
                _log_likelihood(self._p(seen, scorer, ability), scores)
                - (ability - start) ** 2 / (2 * _PRIOR_SPREAD**2)
                for ability in grid
            ]
            self._learnt[model] = float(grid[int(np.argmax(posterior))])

    def p_adequate(self, rows: Sequence[int], models: Sequence[str]) -> Floats:
        """Return shape (len(rows), len(models))."""
        abilities: dict[tuple[int, str], float] = {}
        found = np.zeros((len(rows), len(models)))
        for line, i in enumerate(rows):
            scorer = self._scorers[i]
            for column, model in enumerate(models):
                key = (id(scorer), model)
                if key not in abilities:
                    abilities[key] = self._ability(scorer, model)
                head = None if model in self._learnt else scorer.head(model)
                found[line, column] = (
                    _by_tiers(self._scores[i], scorer, abilities[key])
                    if head is None
                    else self._scores[i][head]
                )
        return found

    def _p(self, rows: Sequence[int], scorer: TierScorer, ability: float) -> Floats:
        return np.array([_by_tiers(self._scores[i], scorer, ability) for i in rows])

    def _ability(self, scorer: TierScorer, model: str) -> float:
        known = self._learnt.get(model)
        if known is None:
            known = scorer.ability(model)
        if known is None:
            known = scorer.ability_prior(_price(self._prompts.rows, model), None)
        return known


class Judge:
    """Decides which labels a scorer may see before it is judged.

    Attributes:
        is_zero_shot: none of the file's benchmarks is in the scorer's card, and no label was seen.
    """

    def __init__(
        self,
        rows: Sequence[RoutingRow],
        *,
        seed: int = 0,
        folds: int | None = None,
        probe: int | None = None,
        without: Sequence[str] = (),
        keep: Path | None = None,
    ) -> None:
        """Take the options of the scenario.

        Raises:
            UnusableInput: rows are to be probed that the artifact was trained on.
        """
        self._rows, self._seed, self._folds, self._probe = rows, seed, folds, probe
        self._without, self._keep = frozenset(without), keep
        self._scorer_ids: list[str] = []
        self._own = frozenset(row.benchmark for row in rows)
        seen = self._own & (trained_benchmarks() - self._without)
        self.is_zero_shot = not seen and probe is None and folds is None
        if probe is not None and seen:
            raise UnusableInput(
                f"--probe {probe}: the artifact was trained on {', '.join(sorted(seen))} already; "
                "add --without to refit it without that first"
            )

    @property
    def artifacts(self) -> dict[str, str]:
        """Ids of what scored."""
        return {"complexity": ", ".join(dict.fromkeys(self._scorer_ids))}

    def examine(self, prompts: Prompts) -> Exam:
        """Score every row that shall be judged.

        Raises:
            UnusableInput: the artifact is missing or unfit, or the data to refit it is.
        """
        if self._folds is not None:
            return self._by_folds(prompts, self._folds)
        probed = sorted(self._probed())
        everything = range(len(prompts.rows))
        exam = Exam(prompts, [i for i in everything if i not in set(probed)])
        if len(probed) >= _ENOUGH_TO_FIT:
            exam.mark(everything, self._fitted(prompts[probed], is_one_traffic=True))
            return exam
        exam.mark(everything, self._refitted_or_shipped(prompts))
        if probed:
            models = {model for i in probed for model in prompts.rows[i].outcomes}
            exam.learn(probed, sorted(models))
        return exam

    def _probed(self) -> frozenset[int]:
        """Return K seeded rows, and what shares a dialogue with one of them."""
        order = np.random.default_rng(self._seed).permutation(len(self._rows))
        drawn = {self._rows[int(i)].dialogue for i in order[: self._probe or 0]}
        return frozenset(i for i, row in enumerate(self._rows) if row.dialogue in drawn)

    def _refitted_or_shipped(self, prompts: Prompts) -> TierScorer:
        if not self._without:
            scorer: TierScorer = shipped_scorer(prompts.encoder)
            self._scorer_ids.append(scorer.scorer_id)
            return scorer
        return self._fitted(self._others(prompts))

    def _by_folds(self, prompts: Prompts, folds: int) -> Exam:
        """Score each fold by a model fitted on the file's other folds, and on nothing else."""
        fold = np.array([fold_of(_key(row), folds, self._seed) for row in prompts.rows])
        exam = Exam(prompts, range(len(prompts.rows)))
        for number in console.track(range(folds), "refitting", folds):
            inside = np.flatnonzero(fold == number).tolist()
            if inside:
                outside = np.flatnonzero(fold != number).tolist()
                exam.mark(inside, self._fitted(prompts[outside], is_one_traffic=True))
        return exam

    def _fitted(self, prompts: Prompts, *, is_one_traffic: bool = False) -> TierScorer:
        """Fit; on rows of the traffic that will be judged nothing is held to be unfamiliar."""
        settings = FitSettings.for_one_traffic() if is_one_traffic else FitSettings()
        try:
            scorer: TierScorer = fit(
                prompts.rows, prompts.vectors, seed=self._seed, settings=settings
            )
        except ValueError as error:
            raise UnusableInput(f"these rows do not suffice for a refit: {error}") from error
        self._scorer_ids.append(scorer.scorer_id)
        return scorer

    def _others(self, prompts: Prompts) -> Prompts:
        """Return the data folder's rows of the other benchmarks.

        Where the file's own benchmarks are left out, its prompts are too, under whatever name
        they come back.

        Raises:
            UnusableInput: there are none.
        """
        folder = data_dir()
        is_unseen = self._own <= self._without
        judged = {row.prompt for row in prompts.rows} if is_unseen else frozenset[str]()
        found: Prompts | None = None
        for file in sorted((folder / "router").glob("*.jsonl*")) if folder else ():
            whole = Prompts.of(usable_rows(file), prompts.encoder, self._keep)
            part = whole[
                [
                    i
                    for i, row in enumerate(whole.rows)
                    if row.benchmark not in self._without and row.prompt not in judged
                ]
            ]
            if part.rows:
                found = part if found is None else found + part
        if found is None:
            raise UnusableInput(f"--without refits on routing data; {DATA_VARIABLE} names it")
        return found


def usable_rows(file: Path) -> list[RoutingRow]:
    """Return the rows of a file that the protocol does not drop."""
    return [row for row in routing(file) if not row.contaminated]


def trained_benchmarks() -> frozenset[str]:
    """Return the benchmarks that the shipped artifact's card lists; none without an artifact."""
    return frozenset(map(str, complexity_card().get(_LISTED, ())))


def shipped_scorer(encoder: OnnxEncoder) -> ComplexityModel:
    """Return the complexity model the service runs.

    Raises:
        UnusableInput: its artifact is missing, or fitted for another encoder.
    """
    try:
        return ComplexityModel.load(encoder_id=encoder.encoder_id)
    except ArtifactError as error:
        raise UnusableInput(f"the complexity model does not load: {error}") from error


def _key(row: RoutingRow) -> str:
    """Return what decides a row's fold: its dialogue, else its prompt: copies stay together."""
    return row.prompt if row.dialogue == row.id else row.dialogue


def _price(rows: Sequence[RoutingRow], model: str) -> float | None:
    """Return about what a model costs per million tokens, from the costs of its calls if known."""
    calls = [
        (outcome.cost_usd, len(row.prompt))
        for row in rows
        if (outcome := row.outcomes.get(model)) is not None and outcome.cost_usd is not None
    ]
    n_chars = sum(chars for _, chars in calls)
    if not n_chars:
        return None
    return sum(cost for cost, _ in calls) / (n_chars / _CHARS_PER_TOKEN) * 1e6


def _by_tiers(scores: Sequence[float], scorer: TierScorer, ability: float) -> float:
    return p_adequate(scores[: len(scorer.tiers)], scorer.tiers, ability)


def _log_likelihood(p: Floats, scores: Floats) -> float:
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    return float(np.sum(scores * np.log(clipped) + (1 - scores) * np.log(1 - clipped)))
