# ruff: noqa: ANN401 - torch has no types here
# mypy: disable-error-code="misc,no-untyped-call,unused-ignore"
"""Trains the pair model on the finished encoder's own int8 outputs, and says what it is worth.

The head that was trained jointly with the encoder (``training/fine_tune.py``) is trained on here:
on the token vectors as they will be kept, four bits a number, so that it learns to live with what
rounding does. Several seeds; the one with the least loss on held-out pairs is shipped. On one half
of what is held back its logits are calibrated (Platt, 1999) and the verdict is fitted on top; the
other half judges. Streams of held-out prompts give the operating points (``training/points.py``).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from torch import nn
from torch.nn import functional

from benchmarks.datasets import data_dir, fold_of
from benchmarks.metrics import (
    average_precision,
    expected_calibration_error,
    recall_at_precision,
)
from cache.guards import compare_facts, facts_of
from cache.normalize import canonical
from classifier.artifact import ARTIFACTS, read_artifact, read_card, write_artifact
from classifier.encoder import OnnxEncoder
from classifier.overlap import N_FEATURES, OVERLAP_VERSION, overlap
from classifier.pair import HEAD, HEAD_VERSION, KIND, VERDICT, heads, inputs, raised
from classifier.session import open_session
from classifier.tokens import DIM, unpack
from training.cards import created, model_card, refuse_to_worsen
from training.fine_tune import load_tuned
from training.pair_data import TRAINED_ON, LabelledPair, held_out, training_pairs
from training.pair_head import PairHead
from training.points import Judgeable, Point, operating_points

Floats = npt.NDArray[np.float64]

_BATCH = 256
_EPOCHS = 3
_RATE = 1e-3
_OPSET = 17
_HEAD_OPSET = 20  # has GELU as one step
_VERDICT_ROWS = 24_000


@dataclass(slots=True)
class Texts:
    """What the encoder made of each text: vectors of shape (n, dim), packed tokens."""

    row_of: dict[str, int]
    vectors: npt.NDArray[np.float32]
    tokens: list[bytes]

    def cosines(self, pairs: Sequence[LabelledPair]) -> npt.NDArray[np.float32]:
        """Return the cosine of each pair."""
        a, b = self.rows(pairs)
        found: npt.NDArray[np.float32] = np.einsum("ij,ij->i", self.vectors[a], self.vectors[b])
        return found

    def rows(self, pairs: Sequence[LabelledPair]) -> tuple[list[int], list[int]]:
        """Return the rows of both sides."""
        return (
            [self.row_of[canonical(pair.a)] for pair in pairs],
            [self.row_of[canonical(pair.b)] for pair in pairs],
        )

    def both(self, pairs: Sequence[LabelledPair]) -> tuple[Any, Any]:
        """Return token vectors and mask of both sides as tensors, shape (2, n, tokens, ...)."""
        a, b = self.rows(pairs)
        tokens, mask = unpack([self.tokens[row] for row in (*a, *b)])
        shape = (2, len(a), mask.shape[1])
        return torch.from_numpy(tokens.reshape(*shape, DIM)), torch.from_numpy(mask.reshape(shape))


def make_pair(
    out: Path = ARTIFACTS / KIND,
    *,
    tuned: Path,
    encoder_folder: Path = ARTIFACTS / "encoder",
    seeds: Sequence[int] = (0, 1, 2),
    extra: Sequence[LabelledPair] = (),
    force: bool = False,
) -> Path:
    """Train, calibrate, judge and write the pair artifact.

    Args:
        out: the artifact's folder.
        tuned: what ``fine_tune`` wrote; its head is where training begins.
        encoder_folder: the finished encoder.
        seeds: of order, dropout and trees.
        extra: pairs of the user's own, e.g. from the ledger; they come four times an epoch.
        force: replace an artifact that is better.

    Raises:
        SystemExit: there is no labelled data, or the artifact in place is better.
    """
    folder = _data()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    encoder = OnnxEncoder.load(encoder_folder)
    train, held = training_pairs(folder, 0), held_out(folder)
    train += list(extra) * 4
    texts = read(encoder, [*train, *(pair for rows in held.values() for pair in rows)])
    trained = {seed: train_head(texts, train, tuned, seed) for seed in seeds}
    calibrating, _ = _halves(held)
    losses = {seed: _loss_on(head, texts, calibrating) for seed, head in trained.items()}
    best = min(losses, key=lambda seed: losses[seed])
    slope, shift = platt(*_logits_of(trained[best], texts, calibrating))
    content = exported(Calibrated(trained[best], slope, shift).eval())
    made = {
        "seeds": list(seeds),
        "seed": best,
        "epochs": _EPOCHS,
        "created": created(),
        "head_loss_by_seed": {str(seed): losses[seed] for seed in seeds},
    }
    _finish(out, content, encoder, texts, [*train[:_VERDICT_ROWS], *extra], made, force=force)
    return out


def finish_again(
    out: Path = ARTIFACTS / KIND,
    *,
    encoder_folder: Path = ARTIFACTS / "encoder",
    extra: Sequence[LabelledPair] = (),
    force: bool = False,
) -> None:
    """Keep the head that is in place; fit the verdict and the operating points anew (minutes).

    After a change of guards, or with pairs of the user's own.

    Raises:
        SystemExit: there is no labelled data, or the artifact in place is better.
        ArtifactError: there is no such artifact.
    """
    folder = _data()
    encoder = OnnxEncoder.load(encoder_folder)
    artifact = read_artifact(out, kind=KIND)
    train = [*training_pairs(folder, 0)[:_VERDICT_ROWS], *extra]
    texts = read(encoder, [*train, *(p for rows in held_out(folder).values() for p in rows)])
    kept = ("seeds", "seed", "epochs", "created", "head_loss_by_seed")
    made = {name: artifact.field(name) for name in kept}
    _finish(out, artifact.files[HEAD], encoder, texts, train, made, force=force)


def _data() -> Path:
    folder = data_dir()
    if folder is None:
        raise SystemExit("labelled pairs are needed; set SCRIMP_DATA to the data folder")
    return folder


def _finish(
    out: Path,
    head: bytes,
    encoder: OnnxEncoder,
    texts: Texts,
    train: Sequence[LabelledPair],
    made: Mapping[str, Any],
    *,
    force: bool,
) -> None:
    """Fit the verdict on top of a head, judge, find the operating points, write."""
    folder = _data()
    calibrating, judging = _halves(held_out(folder))
    session = open_session(head, threads=len(os.sched_getaffinity(0)))
    p_head = partial(heads, session)
    verdicts = [fit_verdict(texts, p_head, calibrating, train, seed) for seed in range(3)]
    rows = [judged(texts, p_head, verdict, judging) for verdict in verdicts]
    numbers: dict[str, Any] = {
        "held_out": rows[0],
        "ap_by_seed_of_the_verdict": [
            {name: row["ap"] for name, row in one.items()} for one in rows
        ],
        "head_loss_by_seed": made["head_loss_by_seed"],
    }

    def p_right(pairs: Sequence[Judgeable]) -> npt.NDArray[np.float32]:
        return _p_right(p_head, verdicts[0], pairs)

    points, numbers["streams"] = operating_points(folder, encoder, p_right)
    refuse_to_worsen(out, KIND, new=_merit(numbers), old=_merit_of(out), force=force)
    _write(out, head, exported_trees(verdicts[0]), encoder.encoder_id, numbers, points, made)


# ------------------------------------------------------------------------------------ the verdict


def fit_verdict(
    texts: Texts,
    p_head: Any,
    calibrating: Mapping[str, Sequence[LabelledPair]],
    train: Sequence[LabelledPair],
    seed: int,
) -> GradientBoostingClassifier:
    """Return trees that weigh the head's word, the cosine and the overlap of words.

    On the calibration half, where the head is as sure as it is on prompts it never saw; each set
    weighs with the root of its size. Training pairs steady the rest, with a third of the weight.
    """
    parts = [*calibrating.values(), train]
    weights = [len(rows) ** -0.5 for rows in calibrating.values()]
    total = sum(len(rows) * w for rows, w in zip(calibrating.values(), weights, strict=True))
    scale = sum(map(len, calibrating.values())) / total
    weights = [scale * w for w in weights] + [0.35]
    x = np.concatenate([_inputs(texts, p_head, rows) for rows in parts])
    y = np.concatenate([[pair.same for pair in rows] for rows in parts])
    w = np.concatenate([np.full(len(r), one) for r, one in zip(parts, weights, strict=True)])
    trees = GradientBoostingClassifier(
        n_estimators=200,
        max_depth=4,
        learning_rate=0.08,
        subsample=0.7,
        min_samples_leaf=40,
        random_state=seed,
    )
    return trees.fit(x, y, sample_weight=w)


def _inputs(texts: Texts, p_head: Any, rows: Sequence[LabelledPair]) -> npt.NDArray[np.float32]:
    return inputs(*_parts(texts, p_head, rows))


def _parts(texts: Texts, p_head: Any, rows: Sequence[LabelledPair]) -> Any:
    a, b = texts.rows(rows)
    cosines = texts.cosines(rows)
    p = p_head([texts.tokens[i] for i in a], [texts.tokens[i] for i in b], cosines)
    said = [overlap(canonical(pair.a), canonical(pair.b)) for pair in rows]
    return p, cosines, said


def _p_right(
    p_head: Any, verdict: GradientBoostingClassifier, pairs: Sequence[Judgeable]
) -> npt.NDArray[np.float32]:
    """Return P(right) of pairs of any texts."""
    if not pairs:
        return np.zeros(0, dtype=np.float32)
    cosines = np.array([pair.cosine for pair in pairs], dtype=np.float32)
    p = p_head([pair.a_tokens for pair in pairs], [pair.b_tokens for pair in pairs], cosines)
    said = [overlap(pair.a, pair.b) for pair in pairs]
    p_right = verdict.predict_proba(inputs(p, cosines, said))[:, 1].astype(np.float32)
    return raised(p_right, [(pair.a, pair.b) for pair in pairs], said)


def exported_trees(trees: GradientBoostingClassifier) -> bytes:
    """Return the verdict as ONNX."""
    from skl2onnx import to_onnx

    return bytes(
        to_onnx(
            trees,
            initial_types=[("x", FloatTensorType([None, 2 + N_FEATURES]))],
            options={id(trees): {"zipmap": False}},
            target_opset={"": _OPSET, "ai.onnx.ml": 3},
        ).SerializeToString()
    )


def _merit(numbers: Mapping[str, Any]) -> float:
    return round(float(np.mean([row["ap"] for row in numbers["held_out"].values()])), 5)


def read(encoder: OnnxEncoder, pairs: Sequence[LabelledPair]) -> Texts:
    """Encode every text of the pairs once."""
    distinct = sorted({canonical(t) for p in pairs for t in (p.a, p.b)}, key=len)
    chunks = [distinct[i : i + 256] for i in range(0, len(distinct), 256)]
    vectors = np.empty((len(distinct), encoder.dim), dtype=np.float32)
    tokens: list[bytes] = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for found in track(pool.map(encoder.embed, chunks), "encoding", len(chunks)):
            for one in found:
                vectors[len(tokens)] = one.vector
                tokens.append(one.tokens)
    return Texts({text: row for row, text in enumerate(distinct)}, vectors, tokens)


def train_head(texts: Texts, pairs: Sequence[LabelledPair], tuned: Path, seed: int) -> PairHead:
    """Return a head trained on what the finished encoder makes of the pairs."""
    torch.manual_seed(seed)
    _, head = load_tuned(tuned)
    head.train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.02)
    batches = list(_batches(texts, pairs, seed))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_RATE, total_steps=len(batches), pct_start=0.1
    )
    for batch in track(batches, f"seed {seed}"):
        logits, labels = _forward(head, texts, batch)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    head.eval()
    return head


def _batches(
    texts: Texts, pairs: Sequence[LabelledPair], seed: int
) -> Iterator[list[LabelledPair]]:
    """Yield batches of like length in random order, for all epochs."""
    chance = random.Random(seed)
    for _ in range(_EPOCHS):
        drawn = chance.sample(list(pairs), len(pairs))
        found = []
        for start in range(0, len(drawn), _BATCH * 20):
            some = sorted(drawn[start : start + _BATCH * 20], key=lambda p: len(p.a) + len(p.b))
            found += [some[i : i + _BATCH] for i in range(0, len(some), _BATCH)]
        chance.shuffle(found)
        yield from found


def _forward(head: nn.Module, texts: Texts, batch: Sequence[LabelledPair]) -> tuple[Any, Any]:
    logits = head(*texts.both(batch), torch.from_numpy(texts.cosines(batch)))
    return logits, torch.tensor([float(pair.same) for pair in batch])


# -------------------------------------------------------------------------------------- judging


def _halves(
    held: Mapping[str, Sequence[LabelledPair]],
) -> tuple[dict[str, list[LabelledPair]], dict[str, list[LabelledPair]]]:
    """Split what is held back: one half calibrates, the other judges."""
    halves: tuple[dict[str, list[LabelledPair]], dict[str, list[LabelledPair]]] = ({}, {})
    for name, rows in held.items():
        for pair in rows:
            halves[fold_of(pair.a, 2, 11)].setdefault(name, []).append(pair)
    return halves


def _logits_of(
    head: PairHead, texts: Texts, sets: Mapping[str, Sequence[LabelledPair]]
) -> tuple[Floats, Floats, Floats]:
    """Return logits, labels and weights; each set weighs the same."""
    logits, labels, weights = [], [], []
    for rows in sets.values():
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                found, same = _forward(head, texts, rows[start : start + _BATCH])
                logits.append(found.numpy())
                labels.append(same.numpy())
                weights.append(np.full(len(same), 1 / len(rows)))
    return (
        np.concatenate(logits).astype(np.float64),
        np.concatenate(labels).astype(np.float64),
        np.concatenate(weights),
    )


def _loss_on(head: PairHead, texts: Texts, sets: Mapping[str, Sequence[LabelledPair]]) -> float:
    logits, labels, weights = _logits_of(head, texts, sets)
    losses = np.logaddexp(0, logits) - labels * logits
    return round(float((losses * weights).sum() / weights.sum()), 5)


def platt(logits: Floats, labels: Floats, weights: Floats) -> tuple[float, float]:
    """Return slope and shift that make logits probabilities, by weighted maximum likelihood."""
    slope, shift = 1.0, 0.0
    features = np.stack([logits, np.ones_like(logits)])
    for _ in range(50):  # Newton's steps; the problem is convex
        p = 1 / (1 + np.exp(-(slope * logits + shift)))
        gradient = features @ (weights * (p - labels))
        curvature = (features * (weights * p * (1 - p))) @ features.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        slope, shift = slope - step[0], shift - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(slope), float(shift)


class Calibrated(nn.Module):
    """The head with its calibration: token vectors to P(right)."""

    def __init__(self, head: PairHead, slope: float, shift: float) -> None:
        super().__init__()
        self.head = head
        self.slope = slope
        self.shift = shift

    def forward(self, tokens: Any, mask: Any, cosine: Any) -> Any:
        """Return P(right), shape (n,)."""
        return torch.sigmoid(self.slope * self.head(tokens, mask, cosine) + self.shift)


def judged(
    texts: Texts,
    p_head: Any,
    verdict: GradientBoostingClassifier,
    sets: Mapping[str, Sequence[LabelledPair]],
) -> dict[str, dict[str, Any]]:
    """Return by set what the decision's P(right), the bare models and the cosine are worth."""
    found = {}
    for name, rows in sets.items():
        p_heads, cosines, said = _parts(texts, p_head, rows)
        p = raised(
            verdict.predict_proba(inputs(p_heads, cosines, said))[:, 1],
            [(canonical(pair.a), canonical(pair.b)) for pair in rows],
            said,
        )
        labels = np.array([pair.same for pair in rows])
        vetoed = np.array([_is_vetoed(pair) for pair in rows])
        decided = np.where(vetoed, 0.0, p)
        found[name] = {
            "n": len(rows),
            "positives": int(labels.sum()),
            "ap": _rounded(average_precision(decided, labels)),
            "ap_model": _rounded(average_precision(p, labels)),
            "ap_head": _rounded(average_precision(p_heads, labels)),
            "ap_cosine": _rounded(average_precision(cosines, labels)),
            "recall_at_95": _rounded(recall_at_precision(decided, labels, 0.95)),
            "ece": _rounded(expected_calibration_error(decided, labels)),
            "vetoed_positives": int((vetoed & labels).sum()),
        }
    return found


def _is_vetoed(pair: LabelledPair) -> bool:
    a, b = canonical(pair.a), canonical(pair.b)
    return a != b and compare_facts(facts_of(a), facts_of(b)) is not None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# ------------------------------------------------------------------------------------ the artifact


def exported(model: Calibrated) -> bytes:
    """Return the calibrated head as ONNX."""
    n, width = 3, 7
    inputs = (torch.randn(2, n, width, DIM), torch.ones(2, n, width), torch.rand(n))
    axes = {"tokens": {1: "n", 2: "t"}, "mask": {1: "n", 2: "t"}}
    axes |= {"cosine": {0: "n"}, "p_right": {0: "n"}}
    content = io.BytesIO()
    torch.onnx.export(
        model, inputs, content, input_names=["tokens", "mask", "cosine"],
        output_names=["p_right"], dynamic_axes=axes, opset_version=_HEAD_OPSET, dynamo=False,
    )  # fmt: skip
    return content.getvalue()


def _merit_of(folder: Path) -> float | None:
    if not (folder / "card.json").exists():
        return None
    merit = read_card(folder, kind=KIND).get("merit")
    return None if merit is None else float(merit)


def _write(
    out: Path,
    head: bytes,
    verdict: bytes,
    encoder_id: str,
    numbers: Mapping[str, Any],
    points: Sequence[Point],
    made: Mapping[str, Any],
) -> None:
    digest = hashlib.sha256(encoder_id.encode() + head + verdict).hexdigest()
    identity = f"pair-{digest[:8]}"
    card: dict[str, Any] = {
        "encoder_id": encoder_id,
        "overlap_version": OVERLAP_VERSION,
        "head_version": HEAD_VERSION,
        "operating_points": [asdict(point) for point in points],
        **made,
        "license": "Apache-2.0",
        "merit": _merit(numbers),
        "sources": list(TRAINED_ON),
        "numbers": numbers,
    }
    files = {HEAD: head, VERDICT: verdict}
    write_artifact(out, kind=KIND, artifact_id=identity, files=files, card=card)
    size = len(head) + len(verdict)
    text = model_card(
        title=f"Pair model {identity}", paragraphs=_paragraphs(size, card), numbers=numbers
    )
    (out / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    print(json.dumps({"id": identity, "merit": card["merit"], **numbers["held_out"]}, indent=1))


def _paragraphs(size: int, card: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"P(one answer serves both prompts), from the token vectors that {card['encoder_id']} made "
        f"of both and from the words themselves; {size:,} bytes of ONNX. `head.onnx`: tokens of "
        "the two prompts are softly aligned, each is compared with what it met, and the mean and "
        "the greatest difference decide (`training/pair_head.py`). `verdict.onnx`: 200 small "
        "boosted trees weigh the head's log-odds, the cosine and ten figures of overlap "
        "(`classifier/overlap.py`). Symmetric."
    )
    yield (
        f"**Training.** The head jointly with the encoder, then {card['epochs']} epochs on the "
        f"finished encoder's rounded token vectors; seeds {card['seeds']}, of which "
        f"{card['seed']} has the least loss on the calibration half and is shipped. The verdict on "
        f"the calibration half and {_VERDICT_ROWS:,} training pairs; seeds 0, 1, 2, the first is "
        "shipped."
    )
    yield "**Sources.**\n\n" + "\n".join(f"- {source}" for source in card["sources"])
    yield (
        "**Held back.** Quora's dev split; every prompt of one hash class in six of the other sets "
        "(one in three of PAWS); eleven kinds of CheckList test; two domains of text-to-SQL and "
        "two of Overnight; one Spider database in six. The head saw none of it. One half of that "
        "calibrates (of these kinds and domains the verdict has seen examples), the other is "
        "judged below. `ap` is the decision's (guards included), `ap_model` the bare models'."
    )
    yield (
        "**Operating points.** From which P(right) on near-duplicates may be served for a target "
        "share of wrong hits, from streams of held-out prompts (`training/points.py`) under the "
        "whole decision, less the noise of the labels that is known: a third of that of Quora's, "
        "which call 3.7 % of pairs different that are one question by a plain rule "
        "(`benchmarks/label_noise.py`), and 3.9 % in the held-out domain of text-to-SQL; "
        "`error_rate` below is raw. A prior for "
        "other traffic, and no bound: the service replaces it by evidence of its own. Spider's "
        "stream is shown and has no say: its groups tell databases apart that the prompts do not "
        'name ("How many accounts are there?").'
    )
    yield (
        "**Limits.** English. Quora's labels are noisy (5-10 % wrong), and its duplicates are "
        "looser than many an application would want. Long prompts are judged on at most 32 "
        "averaged token vectors; what the encoder's window does not see must be identical. Pairs "
        "that the guards veto have P(right) 0, and some of them are duplicates: most of all where "
        "two versions or error messages differ (AskUbuntu)."
    )
