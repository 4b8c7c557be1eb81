"""Pictures of a routing trial: quality over calls of the strong model, and reliability.

matplotlib is no part of the service or its tools; it is imported only when plots are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import routing_metrics as routing
from benchmarks.errors import UnusableInput
from benchmarks.metrics import Floats
from benchmarks.route_figures import PairTrial

_BINS = 10


def save_plots(trial: PairTrial, folder: Path, name: str) -> list[Path]:
    """Write ``NAME-quality.png`` and ``NAME-reliability.png``; return their paths.

    Raises:
        UnusableInput: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    p = np.concatenate([trial.p_weak, trial.p_strong])
    scores = np.concatenate([trial.weak, trial.strong])
    files = [folder / f"{name}-quality.png", folder / f"{name}-reliability.png"]
    draw_quality(trial, files[0], name)
    draw_reliability([(name, p, scores)], files[1])
    return files


def draw_quality(trial: PairTrial, file: Path, title: str) -> None:
    """Draw mean score over the share of calls to the strong model, with the controls."""
    plot = _pyplot()
    figure, axes = plot.subplots(figsize=(5, 4))
    weak, strong = float(trial.weak.mean()), float(trial.strong.mean())
    orders = {"router": trial.scores, "length": trial.lengths, "oracle": trial.gaps}
    for label, score in orders.items():
        shares, recovered = routing.recovered_curve(trial.gaps[routing.seeded_order(score, 0)])
        axes.plot(shares, weak + recovered * (strong - weak), label=label)
    axes.plot([0, 1], [weak, strong], linestyle=":", color="gray", label="random")
    axes.set(xlabel="share of calls to the strong model", ylabel="mean score", title=title)
    axes.legend()
    _save(figure, file)


def draw_qualities(trials: Mapping[str, PairTrial], file: Path) -> None:
    """Draw the gap recovered over the share of calls to the strong model, a line per trial."""
    plot = _pyplot()
    figure, axes = plot.subplots(figsize=(6, 5))
    for label, trial in trials.items():
        order = routing.seeded_order(trial.scores, 0)
        axes.plot(*routing.recovered_curve(trial.gaps[order]), label=label)
    axes.plot([0, 1], [0, 1], linestyle=":", color="gray")
    axes.set(xlabel="share of calls to the strong model", ylabel="gap recovered")
    axes.legend(fontsize=5)
    _save(figure, file)


def draw_reliability(curves: Sequence[tuple[str, Floats, Floats]], file: Path) -> None:
    """Draw mean score over P(adequate), in bins with equally many; one line per curve."""
    plot = _pyplot()
    figure, axes = plot.subplots(figsize=(5, 4))
    axes.plot([0, 1], [0, 1], linestyle=":", color="gray")
    for label, p, scores in curves:
        parts = np.array_split(np.argsort(p, kind="stable"), _BINS)
        axes.plot(
            [p[part].mean() for part in parts],
            [scores[part].mean() for part in parts],
            marker="o",
            markersize=3,
            label=label,
        )
    axes.set(xlabel="P(adequate)", ylabel="mean score", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7)
    _save(figure, file)


def _pyplot() -> Any:  # noqa: ANN401  matplotlib is not there for the type checker
    try:
        import matplotlib
    except ImportError as error:
        raise UnusableInput(
            "plots need matplotlib: see training/README.md, or leave --plots"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, file: Path) -> None:  # noqa: ANN401  as above
    # No date and no version inside: the same data give the same file.
    figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
    figure.clear()
