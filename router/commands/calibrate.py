"""``scrimp calibrate``: the quality target that keeps a stated share of the baseline's quality.

For all namespaces, or for one by its own rules: its models, its limit of cost, its target.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cache.language import is_english
from classifier.errors import ClassifierError
from router.choose import Pool
from router.choose.operating import Kept, TooFewLabels, Trial, operating_point
from router.commands.labelled import (
    Labelled,
    UnusableLabels,
    fits_of,
    load_models,
    models_with_labels,
    read_labelled,
    vectors_and_scores_of,
)
from router.errors import UnknownNamespace
from router.scales import Scale
from router.settings import ModelSpec, NamespacePolicy, Settings
from router.settings.rewrite import NotWritable, Value, replace_text, set_number, set_table
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
    namespace: str = "",
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
        namespace: whose operating point it is; empty: of all that say nothing else.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        rows = read_labelled(data)
        policy = settings.policy(namespace) if namespace else settings.default_policy
        models = models_with_labels(rows, settings)
        found = operating_point(trial_of(rows, models, settings, policy, namespace), target, seed)
        if found is None:
            raise UnusableLabels(
                f"no quality target keeps {target:.1%} for sure on {len(rows)} prompts; more "
                "labels narrow the interval, a lower --target asks for less"
            )
        written = config is not None and not dry
        if config is not None and written:
            _write(config, namespace, found, [model.name for model in models])
    except (
        *(UnusableLabels, UnknownNamespace, TooFewLabels, NotWritable, ClassifierError, OSError),
    ) as error:
        print(f"scrimp calibrate: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(_as_object(found, models) | {"written": written, "namespace": namespace}))
    else:
        print(_told(found, config if written else None))
    return 0


def trial_of(
    rows: Sequence[Labelled],
    models: Sequence[ModelSpec],
    settings: Settings,
    policy: NamespacePolicy,
    namespace: str = "",
) -> Trial:
    """Return labelled prompts as the service would route them among the models with labels.

    Args:
        rows: each with an outcome of every model.
        models: some of the settings'.
        settings: prices, abilities, the baseline.
        policy: who may answer, and for how much.
        namespace: whose labels of the service count, beside those of ``scrimp probe``.

    Raises:
        UnusableLabels: the policy leaves nothing to choose, or a price is unknown.
        ArtifactError: the classifier does not load.
    """
    names = [model.name for model in models]
    is_permitted = np.array([_is_permitted(name, policy) for name in names])
    if is_permitted.sum() < 2:
        raise UnusableLabels(
            "there is nothing to choose: allowed_models and pinned_model leave of the models with "
            f"labels {', '.join(np.array(names)[is_permitted]) or 'none'}"
        )
    encoder, scorer = load_models()
    pool = Pool.of(settings)
    scale = Scale(pool, scorer)
    columns = [list(settings.models).index(model.name) for model in models]
    vectors, table = vectors_and_scores_of(rows, encoder, scorer)
    is_read = np.array([is_english(row.prompt) for row in rows])
    is_scored = is_read & ~np.isnan(table).any(axis=1)
    p = np.array([scale.p_adequate(tuple(scores)) for scores in np.nan_to_num(table).tolist()])
    fits = fits_of(settings, namespace, scale.p_adequate, scorer.scorer_id)
    for at, name in enumerate(settings.models):
        fit = fits.get(name)
        if fit is not None:  # as the service puts it right by what its traffic taught
            p[:, at] = [fit.p(vector, one) for vector, one in zip(vectors, p[:, at], strict=True)]
    costs = np.array([_costs(row, models, pool) for row in rows])
    may_answer = np.broadcast_to(is_permitted, costs.shape)
    if policy.max_cost_nanos is not None:
        is_cheap = may_answer & (costs <= policy.max_cost_nanos)
        may_answer = np.where(is_cheap.any(axis=1, keepdims=True), is_cheap, may_answer)
    p = np.where(may_answer, p[:, columns], -np.inf)
    # What the classifier claims nothing of goes to the baseline, whatever the target.
    baseline = names.index(settings.routing.baseline)
    typical = np.array(scale.typical())[columns] + (np.arange(len(names)) == baseline)
    p[~is_scored] = -np.inf
    p[~is_scored, int(np.argmax(np.where(is_permitted, typical, -np.inf)))] = 1.0
    return Trial(
        p=p,
        scores=np.array([[row.score_of(model) for model in models] for row in rows], dtype=float),
        costs=costs,
        baseline=baseline,
    )


def _is_permitted(name: str, policy: NamespacePolicy) -> bool:
    if policy.pinned_model and name != policy.pinned_model:
        return False
    return not policy.allowed_models or name in policy.allowed_models


def _write(config: Path, namespace: str, found: Kept, names: Sequence[str]) -> None:
    """Write the target, and what it led to, so that the service can compare its traffic."""
    table = ("namespaces", namespace) if namespace else ("routing",)
    text = config.read_text(encoding="utf-8")
    text = set_number(
        text, table, "quality_target", found.target, _note(found), may_add_table=bool(namespace)
    )
    figures: dict[str, Value] = {
        "quality_target": found.target,
        "prompts": found.n,
        "chosen": dict(zip(names, found.chosen, strict=True)),
        "adequate": dict(zip(names, found.adequate, strict=True)),
    }
    note = "by scrimp calibrate: what the target led to; the service compares its traffic with it"
    replace_text(config, set_table(text, (*table, "calibrated"), figures, note))


def _as_object(found: Kept, models: Sequence[ModelSpec]) -> dict[str, Any]:
    names = [model.name for model in models]
    return asdict(found) | {
        "chosen": dict(zip(names, found.chosen, strict=True)),
        "adequate": dict(zip(names, found.adequate, strict=True)),
    }


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
