"""Which pairs of models a complexity model is judged on; those that the data holds are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A cheap and a dear model that the same benchmarks measured.

    Attributes:
        benchmarks: judged together, as one traffic.
        weak: the cheap one, as named in the data.
        strong: the dear one.
    """

    benchmarks: tuple[str, ...]
    weak: str
    strong: str


JUDGED_PAIRS: Final = (
    JudgedPair(("mmlu",), "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    JudgedPair(("mmlu_pro",), "Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
    JudgedPair(("mmlu_pro",), "gemini-1.5-flash-002", "gemini-1.5-pro-002"),
    JudgedPair(("mmlu_pro",), "Mixtral-8x7B-Instruct-v0.1", "gemini-1.5-pro-002"),
    JudgedPair(("crux", "math-l5"), "claude-3-haiku-20240307", "claude-3-5-sonnet-20240620"),
    JudgedPair(("crux", "math-l5"), "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06"),
    JudgedPair(("crux", "math-l5"), "Meta-Llama-3.1-8B-Instruct", "gpt-4o-2024-08-06"),
    JudgedPair(("bfcl",), "claude-3-haiku-20240307", "claude-3-opus-20240229"),
    JudgedPair(("routerbench",), "mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview"),
    JudgedPair(("ulab",), "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"),
    JudgedPair(("ulab",), "mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
)
