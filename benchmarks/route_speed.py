"""How long routing a prompt takes: by its length on one thread, and with every core at work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from classifier.complexity import ComplexityModel
from classifier.encoder import OnnxEncoder
from classifier.shape import PromptShape

TOKENS: Final = (10, 100, 1_000, 10_000, 100_000)
_CHARS_PER_TOKEN = 4
_RUNS = 30
_LOADED_S = 4.0
_BATCH = 8  # prompts of one run, as the service's batches are under load
_SENTENCE = "The committee met on {n} May and put off the matter of the harbour wall once more. "


def milliseconds_by_length(encoder: OnnxEncoder, scorer: ComplexityModel) -> dict[str, Any]:
    """Return {tokens: {p50, p99 of the whole, score_p50, score_p99 of the score alone}} in ms."""
    found: dict[str, Any] = {}
    for tokens in TOKENS:
        whole, score = [], []
        for run in range(_RUNS):
            text = _text(tokens, run)
            shape = PromptShape(text=text, n_chars_total=len(text))
            begin = time.perf_counter()
            vectors = encoder.encode([text])
            middle = time.perf_counter()
            scorer.score(vectors, [shape])
            end = time.perf_counter()
            whole.append((end - begin) * 1e3)
            score.append((end - middle) * 1e3)
        found[str(tokens)] = {
            "p50": _quantile(whole, 0.5),
            "p99": _quantile(whole, 0.99),
            "score_p50": _quantile(score, 0.5),
            "score_p99": _quantile(score, 0.99),
        }
    return found


def milliseconds_under_load(
    encoder: OnnxEncoder, scorer: ComplexityModel, texts: Sequence[str], seconds: float = _LOADED_S
) -> dict[str, Any]:
    """Return what the score adds to a prompt while every core encodes and scores.

    A thread per core runs batches of ``_BATCH``, as the service's workers do. Of each run the
    score's wall time and its thread's own core time are taken, and divided by the prompts it
    scored: the wall time holds what others on the machine take away, the core time does not.

    Args:
        encoder: as shipped.
        scorer: as shipped.
        texts: what is asked, again and again.
        seconds: of measuring.

    Returns:
        ``{threads, batch, n, wall_p50, wall_p99, core_p50, core_p99, of_encoder}``: milliseconds a
        prompt, and the score's core time over the encoder's.
    """
    n_threads = len(os.sched_getaffinity(0))
    ends_at = time.perf_counter() + seconds
    found: list[list[tuple[float, float, float]]] = [[] for _ in range(n_threads)]

    def work(number: int) -> None:
        at = number
        while time.perf_counter() < ends_at:
            batch = [texts[(at + k) % len(texts)] for k in range(_BATCH)]
            at += _BATCH
            shapes = [PromptShape(text=text, n_chars_total=len(text)) for text in batch]
            begun = time.thread_time()
            vectors = encoder.encode(batch)
            core, wall = time.thread_time(), time.perf_counter()
            scorer.score(vectors, shapes)
            after = time.thread_time()
            found[number].append((time.perf_counter() - wall, after - core, core - begun))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    walls, cores, encoded = zip(*(run for runs in found for run in runs), strict=True)
    return {
        "threads": n_threads,
        "batch": _BATCH,
        "n": len(walls) * _BATCH,
        "wall_p50": _quantile([one * 1e3 / _BATCH for one in walls], 0.5),
        "wall_p99": _quantile([one * 1e3 / _BATCH for one in walls], 0.99),
        "core_p50": _quantile([one * 1e3 / _BATCH for one in cores], 0.5),
        "core_p99": _quantile([one * 1e3 / _BATCH for one in cores], 0.99),
        "of_encoder": round(sum(cores) / sum(encoded), 3),
    }


def _text(tokens: int, run: int) -> str:
    n_chars = tokens * _CHARS_PER_TOKEN
    sentence = _SENTENCE.format(n=run)
    return (sentence * (n_chars // len(sentence) + 1))[:n_chars]


def _quantile(values: list[float], share: float) -> float:
    return round(float(np.quantile(values, share)), 3)
