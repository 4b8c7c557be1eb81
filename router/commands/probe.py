"""``scrimp probe``: places a model that training never met on the classifier's scale."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from classifier.abilities import p_adequate
from classifier.errors import ClassifierError
from router.behind import identity
from router.choose import Pool
from router.commands.labelled import (
    UnusableLabels,
    load_models,
    read_labelled,
    vectors_and_scores_of,
)
from router.commands.probe_ask import ask_all
from router.probed import write_probes
from router.settings import Settings
from router.settings.rewrite import NotWritable, write_number

FEWEST = 50
_GRID = 301
_PRIOR_SPREAD = 1.0  # of an ability around the guess from its price


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a model stands.

    Attributes:
        ability: the most probable, on the classifier's scale.
        low: of the central 95 % of the posterior.
        high: of it.
        n: labelled prompts.
        adequate: share of them it answered adequately.
    """

    ability: float
    low: float
    high: float
    n: int
    adequate: float


def probe(
    settings: Settings,
    config: Path | None,
    name: str,
    data: Path | None,
    *,
    seed: int,
    as_json: bool,
    dry: bool,
) -> int:
    """Print a model's ability with its interval and write it to the settings file.

    Args:
        settings: name the model.
        config: the file they are from; None: nothing is written.
        name: of a configured model.
        data: labelled prompts; those with an outcome of the model count. None: the model is asked
            the project's own probe prompts, which costs a call each.
        seed: of the project's own prompts.
        as_json: print one JSON object.
        dry: write nothing.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        found, labelled = _placed(settings, name, data, seed)
        written = config is not None and not dry
        if config is not None and written:
            note = f"probed: {found.low:.2f} to {found.high:.2f}, {found.n} prompts"
            write_number(config, ("models", name), "ability", round(found.ability, 3), note)
        if not dry and settings.service.data_folder.is_dir():
            _leave(settings, name, labelled)
    except (UnusableLabels, NotWritable, ClassifierError, OSError) as error:
        print(f"scrimp probe: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps({**asdict(found), "written": written}))
        return 0
    print(
        f"{name}: ability {found.ability:.2f}, 95 % interval {found.low:.2f} to {found.high:.2f}; "
        f"{found.adequate:.1%} of {found.n} prompts adequate"
    )
    print(f"written to {config}" if written else "nothing was written")
    return 0


@dataclass(frozen=True, slots=True)
class _Labels:
    """Attributes: ``scorer``: its id; the others row by row."""

    scorer: str
    vectors: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    worth: list[float]


def _leave(settings: Settings, name: str, labels: _Labels) -> None:
    """Leave the labels where the service takes them up, running or not."""
    write_probes(
        settings.service.data_folder,
        name,
        labels.scorer,
        vectors=labels.vectors,
        scores=labels.scores,
        worth=labels.worth,
        of=identity(settings.models[name]),
    )


def _placed(settings: Settings, name: str, data: Path | None, seed: int) -> tuple[Placed, _Labels]:
    model = settings.models.get(name)
    if model is None:
        raise UnusableLabels(
            f"no configured model is called {name!r}; there are: {', '.join(settings.models)}"
        )
    rows = ask_all(settings, model, seed) if data is None else read_labelled(data)
    scored = [(row, score) for row in rows if (score := row.score_of(model)) is not None]
    if len(scored) < FEWEST:
        raise UnusableLabels(
            f"{FEWEST} prompts with an outcome of {name} are needed, there are {len(scored)}"
        )
    encoder, scorer = load_models()
    tiers = scorer.tiers
    vectors, scores = vectors_and_scores_of([row for row, _ in scored], encoder, scorer)
    is_scored = ~np.isnan(scores).any(axis=1)
    worth = np.array([score for _, score in scored])[is_scored]
    if len(worth) < FEWEST:
        raise UnusableLabels(
            f"{FEWEST} prompts that the classifier claims something of are needed, of "
            f"{len(scored)} there are {len(worth)}"
        )
    vectors, scores = vectors[is_scored], scores[is_scored]
    at = list(settings.models).index(name)
    start = Pool.of(settings).abilities(scorer.ability, scorer.ability_prior)[at]
    placed = place(scores[:, : len(tiers)], tiers, worth, start)
    return placed, _Labels(scorer.scorer_id, vectors, scores, worth.tolist())


def place(
    table: npt.NDArray[np.float32],
    tiers: Sequence[float],
    scores: npt.NDArray[np.float64],
    start: float,
) -> Placed:
    """Return the posterior of an ability: binomial likelihood, normal prior around ``start``.

    Only abilities between the outer tiers are tried: beyond them scores do not differ.

    Args:
        table: P(adequate) per prompt and tier, shape (n, T).
        tiers: abilities, ascending.
        scores: what the model's answers were worth, shape (n,).
        start: the ability that was held before.
    """
    grid = np.linspace(tiers[0], tiers[-1], _GRID)
    rows = table.tolist()
    log_p = -((grid - start) ** 2) / (2 * _PRIOR_SPREAD**2)
    for at, ability in enumerate(grid):
        p = np.array([p_adequate(row, tiers, float(ability)) for row in rows])
        p = np.clip(p, 1e-4, 1 - 1e-4)
        log_p[at] += float(np.sum(scores * np.log(p) + (1 - scores) * np.log(1 - p)))
    weight = np.exp(log_p - log_p.max())
    below = np.cumsum(weight) / weight.sum()
    return Placed(
        ability=float(grid[int(np.argmax(log_p))]),
        low=float(grid[int(np.searchsorted(below, 0.025))]),
        high=float(grid[int(np.searchsorted(below, 0.975))]),
        n=len(scores),
        adequate=float(scores.mean()),
    )
