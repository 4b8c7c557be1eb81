"""Fits the complexity model on routing data, judges it on what it did not see, and exports it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from benchmarks.datasets import RoutingRow, fold_of, routing, sha256_of
from benchmarks.encoding import encode_all
from benchmarks.metrics import expected_calibration_error
from benchmarks.route_figures import PairTrial
from benchmarks.route_plots import draw_qualities, draw_reliability
from benchmarks.routing_metrics import pair_figures, seeded_order
from classifier.abilities import normalize_model, p_adequate
from classifier.artifact import read_card, write_artifact
from classifier.complexity import KIND, ComplexityModel
from classifier.complexity_fit import (
    FitSettings,
    FittedComplexity,
    fit,
    link_abilities,
    shape_of,
)
from classifier.encoder import OnnxEncoder
from classifier.shape import FEATURE_NAMES, FEATURE_VERSION, features
from training.anchors import BENCHMARK, DIFFICULTIES, EMPHASIS, anchors
from training.cards import created, model_card, refuse_to_worsen
from training.complexity_graph import to_onnx
from training.own_labels import FEWEST, feedback_rows, preference_rows, read_preferences
from training.pairs import JUDGED_PAIRS, JudgedPair

Floats = npt.NDArray[np.float32]

_FOLDS = 5
_N_SEEDS = 3
_MAX_BYTES = 5_000_000
_MOST_ROUNDING = 5e-4  # of a probability, for sums in float32 in another order
_SETTINGS = FitSettings(emphasis={BENCHMARK: EMPHASIS})

# As the data's own description states them.
_TERMS: Mapping[str, str] = {
    "mmlu": "MMLU with outcomes from RouteLLM, Apache-2.0",
    "mmlu_pro": "MMLU-Pro with published model outputs, Apache-2.0",
    "crux": "CRUX with outcomes from ZeroEval, Apache-2.0",
    "math-l5": "MATH level 5 with outcomes from ZeroEval, Apache-2.0",
    "routerbench": "RouterBench, a subset; terms of its authors",
    "bfcl": "Berkeley Function Calling Leaderboard; terms of its authors",
    "ulab": "12 task types with outcomes of small open models, MIT",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Prompts with outcomes, their vectors and features, row by row."""

    rows: Sequence[RoutingRow]
    vectors: Floats
    structure: Floats

    def at(self, chosen: npt.NDArray[np.bool_]) -> Labelled:
        """Return the rows where ``chosen`` holds."""
        return Labelled(
            [self.rows[int(i)] for i in np.flatnonzero(chosen)],
            self.vectors[chosen],
            self.structure[chosen],
        )

    def __add__(self, other: Labelled) -> Labelled:
        """Return the rows of both."""
        return Labelled(
            [*self.rows, *other.rows],
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.structure, other.structure]),
        )

    def fit(self, seed: int) -> FittedComplexity:
        """Return the model fitted on these rows."""
        return fit(self.rows, self.vectors, seed=seed, settings=_SETTINGS, structure=self.structure)


def make_complexity(
    files: Sequence[Path],
    out: Path,
    *,
    encoder: Path,
    seed: int = 0,
    force: bool = False,
    keep: Path | None = None,
    ledger: Path | None = None,
    preferences: Sequence[Path] = (),
) -> Path:
    """Fit, judge, export and write the complexity artifact.

    The same files, seed, encoder and libraries give the same model.

    Args:
        files: routing data, .jsonl or .jsonl.gz.
        out: the artifact's folder.
        encoder: folder of the encoder whose vectors the model will read.
        seed: of folds, ties and principal components; judging uses it and the next two.
        force: replace an artifact that is better on its own held-out data.
        keep: folder in which vectors are kept between runs; None: nowhere.
        ledger: a service's data folder, to learn from callers' words as well; None: from none.
        preferences: files of compared answers, to learn from as well; see ``own_labels``.

    Raises:
        SystemExit: an artifact in ``out`` is better, or the model is larger than allowed.
    """
    with threadpool_limits(limits=1):  # sums in a fixed order
        reader = OnnxEncoder.load(encoder)
        data = _encoded([row for file in files for row in routing(file)], reader, keep)
        anchored = anchors(_spread(data.rows))
        own = _own(data.rows, ledger, preferences)
        added = _encoded([*anchored, *own], reader, None)
        numbers, trials = _judge(data, added, seed)
        refuse_to_worsen(out, KIND, new=numbers["merit"], old=_merit_of(out), force=force)
        fitted = (data + added).fit(seed)
    model = to_onnx(fitted.curve)
    if len(model) > _MAX_BYTES:
        raise SystemExit(f"the model has {len(model):,} bytes; at most {_MAX_BYTES:,} are allowed")
    fields: dict[str, Any] = {
        "encoder_id": reader.encoder_id,
        "feature_version": FEATURE_VERSION,
        "tiers": list(fitted.tiers),
        "models": list(fitted.models),
        "familiar_from": round(fitted.familiar_from, 4),
        "abilities": asdict(fitted.abilities),
        "benchmarks": sorted({row.benchmark for row in data.rows}),
    }
    digest = hashlib.sha256(model + json.dumps(fields, sort_keys=True).encode()).hexdigest()
    identity = f"complexity-{digest[:8]}"
    card = {
        **fields,
        "created": created(),
        "seed": seed,
        "settings": asdict(_SETTINGS),
        "license": "Apache-2.0 (ours); see sources for the terms of the data",
        "sources": [
            *(f"{name}: {_TERMS.get(name, 'terms unknown')}" for name in fields["benchmarks"]),
            f"{BENCHMARK}: {len(anchored)} everyday prompts and word problems written for this "
            "project; their outcomes are assumed, not measured "
            f"(difficulties {dict(DIFFICULTIES)}; of a word problem, by its steps)",
            *(
                f"{name}: {n} prompts of the operator's own; trained on, never judged with"
                for name, n in sorted(Counter(row.benchmark for row in own).items())
            ),
        ],
        "data_sha256": {file.name: sha256_of(file) for file in files},
        "n_prompts": len(data.rows),
        "numbers": numbers,
    }
    write_artifact(out, kind=KIND, artifact_id=identity, files={"model.onnx": model}, card=card)
    _check_export(out, fitted, data)
    text = model_card(
        title=f"Complexity model {identity}", paragraphs=_paragraphs(card), numbers=numbers
    )
    (out / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    for judged, by_pair in trials.items():
        _draw(judged, by_pair, out)
    return out


def _own(
    rows: Sequence[RoutingRow], ledger: Path | None, preferences: Sequence[Path]
) -> list[RoutingRow]:
    """Return what callers said and what was compared, as rows to train on.

    Raises:
        SystemExit: such labels were asked for, and there are too few to learn from.
    """
    if ledger is None and not preferences:
        return []
    abilities = link_abilities(rows).abilities
    said = [] if ledger is None else feedback_rows(ledger, abilities)
    compared = [one for file in preferences for one in read_preferences(file)]
    found = [*said, *preference_rows(compared, abilities)]
    if not found:
        raise SystemExit(
            f"there is nothing to learn from: {FEWEST} words on stored answers of a model, or "
            f"{FEWEST} comparisons of each of two models are needed"
        )
    return found


def _draw(judged: str, by_pair: Mapping[str, PairTrial], out: Path) -> None:
    """Draw what the card shows of one way of judging."""
    curves = [
        (
            name,
            np.concatenate([trial.p_weak, trial.p_strong]),
            np.concatenate([trial.weak, trial.strong]),
        )
        for name, trial in by_pair.items()
    ]
    draw_reliability(curves, out / f"reliability-{judged}.png")
    draw_qualities(by_pair, out / f"quality-{judged}.png")


def _encoded(rows: Sequence[RoutingRow], encoder: OnnxEncoder, keep: Path | None) -> Labelled:
    """Drop contaminated rows and encode the others."""
    kept = [row for row in rows if not row.contaminated]
    texts = [row.prompt for row in kept]
    structure = np.stack([features(shape_of(row)) for row in track(kept, "reading")])
    return Labelled(kept, encode_all(encoder, texts, "encoding", keep).of(texts), structure)


def _spread(rows: Sequence[RoutingRow]) -> dict[str, float]:
    """Return a dozen known models from the least to the most able."""
    ranked = sorted(link_abilities(rows).abilities.items(), key=lambda item: item[1])
    chosen = np.linspace(0, len(ranked) - 1, min(12, len(ranked))).round().astype(int)
    return {ranked[int(i)][0]: ranked[int(i)][1] for i in chosen}


def _judge(
    data: Labelled, added: Labelled, seed: int
) -> tuple[dict[str, Any], dict[str, Mapping[str, PairTrial]]]:
    """Return figures on prompts and on whole benchmarks that the fit did not see.

    The second value holds what the plots show: the first seed's trials, by how they were judged.
    """
    benchmark = np.array([row.benchmark for row in data.rows])
    pairs = [pair for pair in JUDGED_PAIRS if np.isin(benchmark, pair.benchmarks).any()]
    families = sorted({pair.benchmarks for pair in pairs})
    everywhere = link_abilities(data.rows).abilities
    seeds = range(seed, seed + _N_SEEDS)

    def fitted(chosen: npt.NDArray[np.bool_], at: int) -> FittedComplexity:
        return (data.at(chosen) + added).fit(at)

    folded = []
    for at in seeds:
        fold = np.array([fold_of(row.prompt, _FOLDS, at) for row in data.rows])
        splits = [fold == number for number in range(_FOLDS)]
        folded.append(_figures(data, pairs, splits, fitted, everywhere, at, "5 folds"))
    left_out = []
    for at in seeds:
        splits = [np.isin(benchmark, family) for family in families]
        left_out.append(_figures(data, pairs, splits, fitted, everywhere, at, "benchmark left out"))
    within = _over_seeds([lines for lines, _ in folded])
    across = _over_seeds([lines for lines, _ in left_out])
    trials = {"five-folds": folded[0][1], "benchmark-left-out": left_out[0][1]}
    numbers = {
        "seeds": list(seeds),
        "merit": round(fmean(line["apgr"]["mean"] for line in within), 5),
        "merit_is": "mean APGR over the pairs, 5 folds, mean over the seeds",
        "five_folds": within,
        "benchmark_left_out": across,
    }
    return numbers, trials


def _figures(
    data: Labelled,
    pairs: Sequence[JudgedPair],
    splits: Sequence[npt.NDArray[np.bool_]],
    fitted: Callable[[npt.NDArray[np.bool_], int], FittedComplexity],
    everywhere: Mapping[str, float],
    seed: int,
    what: str,
) -> tuple[list[dict[str, Any]], Mapping[str, PairTrial]]:
    """Return figures and trial per pair; each split is judged by a fit on all the others."""
    benchmark = np.array([row.benchmark for row in data.rows])
    p = {pair: np.full((len(data.rows), 2), np.nan) for pair in pairs}
    for split in track(splits, f"{what}, seed {seed}"):
        model = fitted(~split, seed)
        judged = data.at(split)
        scores = model.score_features(judged.vectors, judged.structure)
        for pair in pairs:
            for column, name in enumerate((pair.weak, pair.strong)):
                p[pair][split, column] = _p_of(model, scores, name, everywhere)
    trials = {}
    for pair in pairs:
        rows = [
            int(i)
            for i in np.flatnonzero(np.isin(benchmark, pair.benchmarks))
            if {pair.weak, pair.strong} <= data.rows[int(i)].outcomes.keys()
        ]
        trials[pair] = _trial(pair, [data.rows[i] for i in rows], p[pair][rows])
    lines = [_figures_of(pair, trial, seed) for pair, trial in trials.items()]
    named = {
        f"{normalize_model(pair.weak)} to {normalize_model(pair.strong)}, "
        f"{'+'.join(pair.benchmarks)}": trial
        for pair, trial in trials.items()
    }
    return lines, named


def _p_of(
    model: FittedComplexity, scores: Floats, name: str, everywhere: Mapping[str, float]
) -> npt.NDArray[Any]:
    """Return P(adequate) of a model, from its own head or, where the fit never met it, a tier's."""
    own = model.head(name)
    if own is not None:
        return scores[:, own]
    known = model.ability(name)
    ability = everywhere[normalize_model(name)] if known is None else known
    n_tiers = len(model.tiers)
    return np.array([p_adequate(row, model.tiers, ability) for row in scores[:, :n_tiers].tolist()])


def _trial(pair: JudgedPair, rows: Sequence[RoutingRow], p: npt.NDArray[Any]) -> PairTrial:
    weak, strong = (
        np.array([row.outcomes[model].score for row in rows]) for model in (pair.weak, pair.strong)
    )
    return PairTrial(
        weak=weak,
        strong=strong,
        p_weak=p[:, 0],
        p_strong=p[:, 1],
        lengths=np.array([len(row.prompt) for row in rows], dtype=np.float64),
        costs=None,
        domains=[row.domain for row in rows],
        dialogues=[row.dialogue for row in rows],
    )


def _figures_of(pair: JudgedPair, trial: PairTrial, seed: int) -> dict[str, Any]:
    gaps = trial.gaps
    figures = pair_figures(gaps[seeded_order(trial.scores, seed)])
    by_length = seeded_order(trial.lengths, seed)
    return {
        "benchmarks": list(pair.benchmarks),
        "weak": pair.weak,
        "strong": pair.strong,
        "n": len(gaps),
        "apgr": figures.apgr,
        "cpt50": figures.cpt50,
        "apgr_by_length": pair_figures(gaps[by_length]).apgr,
        "ece": expected_calibration_error(
            np.concatenate([trial.p_weak, trial.p_strong]),
            np.concatenate([trial.weak, trial.strong]),
        ),
    }


def _over_seeds(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return each pair's figures as mean, least and greatest over the seeds."""
    return [
        {
            name: _spread_of([line[name] for line in lines]) if isinstance(value, float) else value
            for name, value in lines[0].items()
        }
        for lines in zip(*runs, strict=True)
    ]


def _spread_of(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean": round(fmean(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def _check_export(out: Path, fitted: FittedComplexity, data: Labelled) -> None:
    """Stop when onnxruntime does not say what numpy said."""
    vectors, shapes = data.vectors[:200], [shape_of(row) for row in data.rows[:200]]
    card = read_card(out, kind=KIND)
    served = ComplexityModel.load(out, encoder_id=card["encoder_id"]).score(vectors, shapes)
    familiar = ~np.isnan(served).any(axis=1)
    worst = float(np.abs(served - fitted.score(vectors, shapes))[familiar].max())
    if worst > _MOST_ROUNDING:
        raise SystemExit(f"the export differs from the fit by {worst:.2g}")


def _merit_of(folder: Path) -> float | None:
    if not (folder / "card.json").exists():
        return None
    merit: float | None = read_card(folder, kind=KIND).get("numbers", {}).get("merit")
    return merit


def _paragraphs(card: Mapping[str, Any]) -> Iterator[str]:
    settings = card["settings"]
    yield (
        "P(adequate) of a prompt, one for each ability tier "
        f"{tuple(card['tiers'])} and one for each of {len(card['models'])} models. A difficulty, "
        f"linear in {len(FEATURE_NAMES)} structural features ({card['feature_version']}) and "
        "learnt within domains, holds everywhere, and so does a correction by kind of prompt. "
        f"Another, in kernels around {settings['landmarks']} training prompts (vectors of "
        f"{card['encoder_id']}) and in the features, fades where nothing alike was seen."
    )
    yield (
        f'**Data.** {card["n_prompts"]:,} labelled prompts; contaminated rows dropped. "Adequate" '
        "is the benchmark's own score, mostly: the right answer.\n\n"
        + "\n".join(f"- {source}" for source in card["sources"])
    )
    prior = card["abilities"]
    yield (
        f"**Abilities.** {len(prior['known'])} models are linked on one scale (logits, mean 0). An "
        f"unknown model starts from its list price: {prior['prior_intercept']} + "
        f"{prior['prior_slope']} log10(USD per million tokens, 3 input : 1 output). Prices are of "
        "2024; newer cheap models are abler than this says."
    )
    yield (
        "**How it was judged.** APGR of ranking by P(strong) - P(weak), RouteLLM's protocol, ties "
        f"by seed; seeds {card['numbers']['seeds']}; five folds by prompt, and each benchmark left "
        "out of the fit. `apgr_by_length` sends longer prompts to the strong model."
    )
    yield (
        "**Limits.** On a benchmark left out, ranking is near chance or that of length, and "
        "probabilities are off by the stated ECE: probe a new traffic before trusting a threshold; "
        "a fit on 200 labelled prompts of the traffic itself beats this model there. A model that "
        "training did not meet is described by one number, which cannot say that it is good at "
        "maths and weak at tools. The training prompts are exams; everyday prompts are covered by "
        "assumed anchors only. English."
    )
    yield (
        "![reliability, five folds](reliability-five-folds.png)\n"
        "![reliability, benchmark left out](reliability-benchmark-left-out.png)\n"
        "![quality over calls, five folds](quality-five-folds.png)\n"
        "![quality over calls, benchmark left out](quality-benchmark-left-out.png)"
    )
