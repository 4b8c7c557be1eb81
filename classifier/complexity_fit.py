"""Fits the complexity model with numpy alone; never imported by the service.

Three steps. A Rasch link puts models on one scale (``linking``). Then what makes prompts hard is
learnt within domains: how much harder than its own domain a prompt is, from how its structure
differs from its domain's, pooled over all benchmarks. Of all that was tried only this transfers to
benchmarks that were never seen; pooling without centring teaches which benchmark a prompt is from.
Last, what the curve of difficulty gets wrong is learnt close to the training prompts, per tier of
ability and per model, and fades where nothing alike was seen (``curve``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.abilities import Abilities, normalize_model
from classifier.curve import Curve, Floats, Space, cosine_kernel
from classifier.linking import LabelledPrompt, Link, known_abilities, link_abilities
from classifier.shape import FEATURE_NAMES, PromptShape, features

__all__ = ["FitSettings", "FittedComplexity", "fit", "link_abilities", "shape_of"]

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """What may be chosen.

    Attributes:
        tiers: abilities that get a curve of their own, ascending; one with too few outcomes near
            it is left out of the fitted model.
        bandwidth: standard deviation of the kernel by which a model counts for a tier, in ability.
        landmarks: prompts kept, as vectors, to tell what is near; at most.
        sharpness: of the kernel exp(sharpness * (cosine - 1)) between a prompt and a landmark.
        familiar: cosines to the nearest landmark between which the correction fades in.
        familiar_from: cosine to the nearest landmark below which nothing is claimed of a prompt;
            less than 1 in 100 ordinary English questions lies below 0.18.
        slope_ridge: L2 penalty on what makes prompts hard.
        length_slope: difficulty added per standard deviation of the logarithm of length, a prior:
            the one feature that predicts gaps on most benchmarks never seen.
        exam_surplus: how much harder, in logits, exams are than prompts unlike any of them.
        ridge: L2 penalty on the corrections.
        min_outcomes: below it, a tier or a model gets no score of its own.
        benchmark_power: a benchmark of n prompts weighs n ** (1 - power): at 0 every prompt weighs
            the same, at 1 every benchmark.
        emphasis: benchmark to a factor on its weight, 1 where it is not named.
    """

    tiers: tuple[float, ...] = (-0.9, -0.3, 0.2, 0.6, 1.0, 2.0)
    bandwidth: float = 0.3
    landmarks: int = 900
    sharpness: float = 8.0
    familiar: tuple[float, float] = (0.45, 0.7)
    familiar_from: float = 0.18
    slope_ridge: float = 10_000.0
    length_slope: float = 0.3
    exam_surplus: float = 1.0
    ridge: float = 30.0
    min_outcomes: int = 200
    benchmark_power: float = 0.25
    emphasis: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def for_one_traffic(cls, *, min_outcomes: int = 30) -> FitSettings:
        """Return settings for rows that stand for the very prompts to be scored.

        Nothing is unfamiliar then, and level and length are learnt like all else.
        """
        return cls(
            familiar=(-1.0, -0.99),
            exam_surplus=0.0,
            length_slope=0.0,
            sharpness=4.0,
            min_outcomes=min_outcomes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedComplexity:
    """A fitted model, with the surface of ``ComplexityModel``.

    Attributes:
        tiers: abilities for which the first T scores are, ascending.
        models: normalized names of the models that the other M scores are for.
        abilities: of the models in the data, and the prior for others.
        curve: what scores.
        familiar_from: cosine to the nearest landmark below which nothing is claimed.
    """

    tiers: tuple[float, ...]
    models: tuple[str, ...]
    abilities: Abilities
    curve: Curve
    familiar_from: float
    scorer_id: str = "refitted"

    def score(self, vectors: Floats, shapes: Sequence[PromptShape]) -> Floats:
        """Return P(adequate), shape (n, T + M); see ``ComplexityModel.score``."""
        return self.score_features(vectors, _table(shapes))

    def score_features(self, vectors: Floats, structure: Floats) -> Floats:
        """Return the same from features already computed, shape (n, F)."""
        if not len(structure):
            return np.zeros((0, len(self.tiers) + len(self.models)), dtype=np.float32)
        p = self.curve.of(vectors, structure)
        n_tiers = len(self.tiers)
        p[:, :n_tiers] = np.maximum.accumulate(p[:, :n_tiers], axis=1)
        return p

    def head(self, model_name: str) -> int | None:
        """Return which score is a model's own; see ``ComplexityModel.head``."""
        return self._places().get(normalize_model(model_name))

    def _places(self) -> dict[str, int]:
        return {name: len(self.tiers) + at for at, name in enumerate(self.models)}

    def ability(self, model_name: str) -> float | None:
        """Return a model's ability, None where the data did not hold it."""
        return self.abilities.of(model_name)

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the ability that a price suggests, in US dollars per million tokens."""
        return self.abilities.prior(input_usd_per_mtok, output_usd_per_mtok)


def shape_of(row: LabelledPrompt) -> PromptShape:
    """Return the shape of a benchmark's prompt: one turn, nothing else in the request."""
    return PromptShape(text=row.prompt, n_chars_total=len(row.prompt), n_tools=len(row.tools))


def fit(
    rows: Sequence[LabelledPrompt],
    vectors: Floats,
    *,
    seed: int = 0,
    settings: FitSettings | None = None,
    structure: Floats | None = None,
) -> FittedComplexity:
    """Fit on labelled prompts; contaminated rows must have been dropped.

    Args:
        rows: n prompts with outcomes, of any benchmarks.
        vectors: shape (n, dim), unit length, of the encoder whose vectors will be scored.
        seed: draws the landmarks.
        settings: None for the defaults.
        structure: features of the rows, shape (n, F), where they are known already.

    Raises:
        ValueError: no rows, another number of vectors, or too few outcomes for any tier.
    """
    if not rows or len(rows) != len(vectors):
        raise ValueError(f"one vector per row, at least one row; got {len(rows)}, {len(vectors)}")
    settings = settings or FitSettings()
    if structure is None:
        structure = _table([shape_of(row) for row in rows])
    linked = link_abilities(rows)
    labels = _Labels.of(rows, linked, settings)
    space = Space.of(structure)
    z = space.into(structure)
    slope, level = _difficulty(z, labels, settings)
    level -= settings.exam_surplus
    difficulty = (z @ slope + level).astype(np.float32)
    kinds = _kinds(vectors, z, labels.domain)
    landmarks = _landmarks(vectors, labels.weight, settings.landmarks, seed)
    tiers, models = _tiers(labels, settings), _models(labels, settings.min_outcomes)
    if not tiers:
        raise ValueError(f"the outcomes are too few near every tier {settings.tiers}")
    heads = [*tiers.values(), *models.values()]
    curve = Curve(
        space=space,
        slope=slope,
        level=level,
        kinds=kinds,
        landmarks=landmarks,
        sharpness=settings.sharpness,
        familiar=settings.familiar,
        abilities=np.array([head.ability for head in heads], dtype=np.float32),
        corrections=np.zeros((0, 0), dtype=np.float32),
    )
    corrections = _corrections(curve, vectors, z, difficulty, labels, heads, settings)
    return FittedComplexity(
        tiers=tuple(tiers),
        models=tuple(models),
        abilities=known_abilities(rows, linked),
        curve=curve.with_corrections(corrections),
        familiar_from=settings.familiar_from,
    )


def _table(shapes: Sequence[PromptShape]) -> Floats:
    if not shapes:
        return np.zeros((0, 0), dtype=np.float32)
    return np.stack([features(shape) for shape in shapes])


@dataclass(frozen=True, slots=True)
class _Labels:
    """Outcomes as a table per benchmark.

    Attributes:
        weight: of each row, mean 1.
        domain: number of each row's domain; domains of two benchmarks differ.
        tables: one per benchmark.
        hardness: of each row, logits: how much harder than the mean prompt.
    """

    weight: Floats
    domain: Ints
    tables: Sequence[_Table]
    hardness: Floats

    @classmethod
    def of(cls, rows: Sequence[LabelledPrompt], linked: Link, settings: FitSettings) -> _Labels:
        """Gather the outcomes."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            numbers[row.benchmark].append(number)
        tables = [
            _labels_table(rows, np.array(numbers[benchmark]), linked)
            for benchmark in sorted(numbers)
        ]
        weight = np.zeros(len(rows))
        hardness = np.zeros(len(rows))
        for table in tables:
            factor = settings.emphasis.get(table.benchmark, 1.0)
            weight[table.rows] = factor * len(table.rows) ** -settings.benchmark_power
            hardness[table.rows] = _hardness(table) + linked.difficulties[table.benchmark]
        return cls(
            weight=(weight / weight.mean()).astype(np.float32),
            domain=_domains(rows),
            tables=tables,
            hardness=hardness.astype(np.float32),
        )


@dataclass(frozen=True, slots=True)
class _Table:
    """Outcomes of one benchmark.

    Attributes:
        benchmark: its name.
        rows: numbers of its rows.
        models: normalized names, one per column.
        shown: ability that each model showed here.
        own: its ability over all benchmarks.
        scores: shape (rows, models); NaN where a model did not answer.
    """

    benchmark: str
    rows: Ints
    models: Sequence[str]
    shown: Doubles
    own: Doubles
    scores: Doubles


_FEWEST_IN_DOMAIN = 25


def _labels_table(rows: Sequence[LabelledPrompt], numbers: Ints, linked: Link) -> _Table:
    benchmark = rows[int(numbers[0])].benchmark
    chosen = sorted((name, data) for (b, name), data in linked.chosen.items() if b == benchmark)
    scores = np.full((len(numbers), len(chosen)), np.nan)
    for line, number in enumerate(numbers):
        outcomes = rows[int(number)].outcomes
        for column, (_, data) in enumerate(chosen):
            if data in outcomes:
                scores[line, column] = outcomes[data].score
    names = [name for name, _ in chosen]
    return _Table(
        benchmark=benchmark,
        rows=numbers,
        models=names,
        shown=np.array([linked.shown[benchmark, name] for name in names]),
        own=np.array([linked.abilities[name] for name in names]),
        scores=scores,
    )


def _domains(rows: Sequence[LabelledPrompt]) -> Ints:
    """Return a number per row; the domains of a benchmark that are too small count as one."""
    sizes = Counter((row.benchmark, row.domain) for row in rows)
    keys = [
        (row.benchmark, row.domain if sizes[row.benchmark, row.domain] >= _FEWEST_IN_DOMAIN else "")
        for row in rows
    ]
    number = {key: at for at, key in enumerate(sorted(set(keys)))}
    return np.array([number[key] for key in keys], dtype=np.intp)


def _hardness(table: _Table) -> Doubles:
    """Return how much harder than its benchmark each prompt is, in logits.

    One step of the score test from the benchmark's own difficulty: what the models fell short of
    their mean, over the information. Noisy with two models, unbiased with any number.
    """
    answered = ~np.isnan(table.scores)
    means = np.nanmean(table.scores, axis=0)
    short = np.where(answered, means - np.nan_to_num(table.scores), 0.0).sum(axis=1)
    information = (answered * (means * (1 - means))).sum(axis=1)
    return np.asarray(short / np.maximum(information, 0.05))


def _difficulty(z: Floats, labels: _Labels, settings: FitSettings) -> tuple[Floats, float]:
    """Return (slope, level): difficulty is z @ slope + level, its slope learnt within domains."""
    weight, domain = labels.weight.astype(np.float64), labels.domain
    total = np.bincount(domain, weight)
    mean_z = np.zeros((len(total), z.shape[1]))
    np.add.at(mean_z, domain, z * weight[:, None])
    mean_z /= total[:, None]
    mean_hardness = np.bincount(domain, weight * labels.hardness) / total
    within = z - mean_z[domain]
    weighted = within * weight[:, None]
    gram = within.T @ weighted + settings.slope_ridge * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, weighted.T @ (labels.hardness - mean_hardness[domain]))
    slope[FEATURE_NAMES.index("log_chars")] += settings.length_slope
    rest = labels.hardness - z @ slope
    return slope.astype(np.float32), float(np.average(rest, weights=weight))


_KIND_SHRINKAGE = 0.1
_KIND_VECTOR_SCALE = 20.0  # a unit vector's coordinates are about dim ** -0.5, features have 1
_KIND_PRIOR_ROWS = 2.0
_KIND_LEAST_SPREAD = 1e-3  # where all prompts of every kind are alike


def _kinds(vectors: Floats, z: Floats, domain: Ints) -> tuple[Floats, Floats]:
    """Return (weights, intercepts) of a linear discriminant of the domains.

    Weights have shape (dim + F, domains), for vectors and standardized features side by side.
    Domains are known without error while outcomes are noise: a domain's mean gap, weighted by how
    likely a prompt is of it, says more than the prompt's neighbours do.
    """
    table = np.concatenate([vectors * _KIND_VECTOR_SCALE, z], axis=1).astype(np.float64)
    sizes = np.bincount(domain).astype(np.float64)
    means = np.zeros((len(sizes), table.shape[1]))
    np.add.at(means, domain, table)
    means = (means + _KIND_PRIOR_ROWS * table.mean(axis=0)) / (sizes + _KIND_PRIOR_ROWS)[:, None]
    rest = table - means[domain]
    spread = rest.T @ rest / len(table)
    shrinkage = _KIND_SHRINKAGE * np.trace(spread) / len(spread) + _KIND_LEAST_SPREAD
    spread += shrinkage * np.eye(len(spread))
    weights = np.linalg.solve(spread, means.T)
    intercepts = -0.5 * np.einsum("kd,dk->k", means, weights) + np.log(sizes / sizes.sum())
    weights[: vectors.shape[1]] *= _KIND_VECTOR_SCALE
    return weights.astype(np.float32), intercepts.astype(np.float32)


def _landmarks(vectors: Floats, weight: Floats, most: int, seed: int) -> Floats:
    """Return prompts' vectors, drawn by weight so that small benchmarks are among them."""
    distinct = np.unique(vectors, axis=0, return_index=True)[1]
    share = weight[distinct] / weight[distinct].sum()
    n = min(most, len(distinct))
    drawn = np.random.default_rng(seed).choice(distinct, n, replace=False, p=share)
    return np.ascontiguousarray(vectors[np.sort(drawn)])


@dataclass(frozen=True, slots=True)
class _Head:
    """What one score is learnt from: per benchmark (position) a weight and targets."""

    ability: float
    parts: Mapping[int, tuple[float, Doubles]]


_MIN_KERNEL = 0.05


def _tiers(labels: _Labels, settings: FitSettings) -> dict[float, _Head]:
    """Return a head per tier that enough outcomes are near: the mean of the models near it."""
    found = {}
    for tier in settings.tiers:
        parts: dict[int, tuple[float, Doubles]] = {}
        n = 0
        for at, table in enumerate(labels.tables):
            kernel = np.exp(-0.5 * ((table.shown - tier) / settings.bandwidth) ** 2)
            near = kernel > _MIN_KERNEL
            if near.any():
                n += len(table.rows)
                parts[at] = (float(kernel.max()), _mean_of(table.scores[:, near], kernel[near]))
        if n >= settings.min_outcomes:
            found[tier] = _Head(tier, parts)
    return found


def _mean_of(scores: Doubles, weight: Doubles) -> Doubles:
    answered = ~np.isnan(scores)
    total = (answered * weight).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.nan_to_num(scores) * weight).sum(axis=1) / total)


def _models(labels: _Labels, fewest: int) -> dict[str, _Head]:
    """Return a head per model with enough outcomes."""
    parts: dict[str, dict[int, tuple[float, Doubles]]] = defaultdict(dict)
    ability = {}
    for at, table in enumerate(labels.tables):
        for column, name in enumerate(table.models):
            parts[name][at] = (1.0, table.scores[:, column])
            ability[name] = float(table.own[column])
    return {
        name: _Head(ability[name], parts[name])
        for name in sorted(parts)
        if sum(int((~np.isnan(y)).sum()) for _, y in parts[name].values()) >= fewest
    }


def _corrections(
    curve: Curve,
    vectors: Floats,
    z: Floats,
    difficulty: Floats,
    labels: _Labels,
    heads: Sequence[_Head],
    settings: FitSettings,
) -> Floats:
    """Return the corrections, shape (basis, heads): ridge on what the curve gets wrong.

    Solved in the landmarks' own (whitened) coordinates, where the penalty is that of a Gaussian
    process, and carried back.
    """
    n = len(curve.landmarks)
    own = cosine_kernel(curve.landmarks, curve.landmarks, curve.sharpness).astype(np.float64)
    factor = np.linalg.cholesky(own + 1e-3 * np.eye(n))
    basis = curve.basis(vectors, z).astype(np.float64)
    basis[:, :n] = np.linalg.solve(factor, basis[:, :n].T).T
    grams: list[Doubles] = []
    for table in labels.tables:
        part = basis[table.rows]
        grams.append(part.T @ (part * labels.weight[table.rows, None]))
    groups: dict[tuple[tuple[int, float], ...], list[int]] = defaultdict(list)
    for at, head in enumerate(heads):
        groups[tuple((b, weight) for b, (weight, _) in sorted(head.parts.items()))].append(at)
    found = np.zeros((basis.shape[1], len(heads)))
    for signature, members in groups.items():
        gram = sum((weight * grams[b] for b, weight in signature), settings.ridge * _eye(basis))
        right = np.zeros((basis.shape[1], len(members)))
        for column, at in enumerate(members):
            for b, (weight, target) in heads[at].parts.items():
                rows = labels.tables[b].rows
                p = 1 / (1 + np.exp(difficulty[rows] - heads[at].ability))
                missed = np.nan_to_num(target - p) * weight * labels.weight[rows]
                right[:, column] += basis[rows].T @ missed
        found[:, members] = np.linalg.solve(gram, right)
    found[:n] = np.linalg.solve(factor.T, found[:n])
    return found.astype(np.float32)


def _eye(basis: Doubles) -> Any:  # noqa: ANN401  sum() wants the same type for its start
    return np.eye(basis.shape[1])
