"""How long routing a prompt takes, by its length: encoder and score, alone on one thread."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from classifier.complexity import ComplexityModel
from classifier.encoder import OnnxEncoder
from classifier.shape import PromptShape

TOKENS: Final = (10, 100, 1_000, 10_000, 100_000)
_CHARS_PER_TOKEN = 4
_RUNS = 30
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


def _text(tokens: int, run: int) -> str:
    n_chars = tokens * _CHARS_PER_TOKEN
    sentence = _SENTENCE.format(n=run)
    return (sentence * (n_chars // len(sentence) + 1))[:n_chars]


def _quantile(values: list[float], share: float) -> float:
    return round(float(np.quantile(values, share)), 3)
