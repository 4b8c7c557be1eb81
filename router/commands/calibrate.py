"""``scrimp calibrate``: the quality target that keeps a stated share of the baseline's quality."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from classifier.errors import ClassifierError
from router.choose import Pool
from router.choose.operating import Kept, TooFewLabels, Trial, operating_point
from router.commands.labelled import (
    Labelled,
    UnusableLabels,
    load_models,
    models_with_labels,
    read_labelled,
    scores_of,
)
from router.scales import Scale
from router.settings import ModelSpec, Settings
from router.settings.rewrite import NotWritable, write_number
from router.types import NANOS_PER_USD

_CHARS_PER_TOKEN = 3.5


def calibrate(
    settings: Settings,
    config: Path | None,
    data: Path,
    *,
    target: float,
    seed: int,
    as_json: bool,
    dry: bool,
) -> int:
    """Print the operating point and write it to the settings file.

    Args:
        settings: name the models, their prices and the baseline.
        config: the file they are from; None: nothing is written.
        data: labelled prompts.
        target: share of the baseline's quality to keep, in (0, 1].
        seed: halves the prompts.
        as_json: print one JSON object.
        dry: write nothing.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        rows = read_labelled(data)
        found = operating_point(trial_of(rows, settings), target, seed)
        if found is None:
            raise UnusableLabels(
                f"no quality target keeps {target:.1%} for sure on {len(rows)} prompts; more "
                "labels narrow the interval, a lower --target asks for less"
            )
        written = config is not None and not dry
        if config is not None and written:
            write_number(config, ("routing",), "quality_target", found.target, _note(found))
    except (UnusableLabels, TooFewLabels, NotWritable, ClassifierError, OSError) as error:
        print(f"scrimp calibrate: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps({**asdict(found), "written": written}))
    else:
        print(_told(found, config if written else None))
    return 0


def trial_of(rows: Sequence[Labelled], settings: Settings) -> Trial:
    """Return labelled prompts as the service would route them among the models with labels.

    Raises:
        UnusableLabels: see ``models_with_labels``.
        ArtifactError: the classifier does not load.
    """
    models = models_with_labels(rows, settings)
    encoder, scorer = load_models()
    pool = Pool.of(settings)
    scale = Scale(pool, scorer)
    columns = [list(settings.models).index(model.name) for model in models]
    p = np.array([scale.p_adequate(tuple(s)) for s in scores_of(rows, encoder, scorer).tolist()])
    names = [model.name for model in models]
    return Trial(
        p=p[:, columns],
        scores=np.array([[row.score_of(model) for model in models] for row in rows], dtype=float),
        costs=np.array([_costs(row, models, pool) for row in rows]),
        baseline=names.index(settings.routing.baseline),
    )


def _costs(row: Labelled, models: Sequence[ModelSpec], pool: Pool) -> list[float]:
    tokens = int(len(row.prompt) / _CHARS_PER_TOKEN) + 1
    costs = pool.prices.costs_of([m.name for m in models], tokens, pool.expected_output_tokens)
    unknown = [model.name for model, cost in zip(models, costs, strict=True) if cost is None]
    if unknown:
        raise UnusableLabels(f"the price of {', '.join(unknown)} is unknown; see scrimp check")
    return [float(cost) for cost in costs if cost is not None]


def _note(found: Kept) -> str:
    return f"calibrated: keeps {found.share:.1%} ({found.low:.1%} to {found.high:.1%})"


def _told(found: Kept, written: Path | None) -> str:
    cost, baseline = (
        f"${nanos / NANOS_PER_USD * 1_000:.4f}"
        for nanos in (found.cost_nanos, found.baseline_cost_nanos)
    )
    lines = [
        f"quality_target = {found.target:g}: a model within {1 - found.target:.3g} of the "
        "strongest's P(adequate) is adequate",
        f"keeps {found.share:.1%} of the baseline's quality, 95 % interval {found.low:.1%} to "
        f"{found.high:.1%} (on {found.n} prompts that had no part in the choice)",
        f"expected cost {cost} per 1,000 requests; all to the baseline: {baseline}",
        f"written to {os.fspath(written)}" if written else "nothing was written",
    ]
    return "\n".join(lines)
