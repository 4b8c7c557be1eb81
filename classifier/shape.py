"""What can be seen of a prompt without understanding it: lengths, code, maths, options, tools."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from math import log1p
from typing import Final

import numpy as np
import numpy.typing as npt

FEATURE_VERSION: Final = "shape-1"
"""Changes whenever a feature changes its meaning; a model fitted on another version is refused."""

# Enough of a prompt to know its kind; the work stays the same for a text of 1 MB.
_HEAD_CHARS = 1500
_TAIL_CHARS = 500

_OPTION = re.compile(rb"\n\(?[A-J][.):]\s")
_NUMBER = re.compile(rb"\d+")

# Words, not patterns: a set of words costs a tenth of a search for alternatives.
_REASON = frozenset(
    b"prove derive calculate compute solve evaluate determine find many much probability suppose "
    b"given step".split()
)
_WRITE = frozenset(
    b"write rewrite summarize summarise translate draft compose generate create".split()
)
_FACT = frozenset(b"what which who whom whose when where".split())
_EXPLAIN = frozenset(b"how why explain describe compare".split())
_NEGATION = frozenset(b"not no never except least false incorrect cannot dont isnt doesnt".split())
_TO_WORDS = bytes(c if chr(c).isalnum() or c > 127 else 32 for c in range(256))
_CODE = tuple(
    b"```|def |return|import |class |function|assert|//|select |();".split(b"|"),
)
_MATHS = tuple(
    part.encode() for part in ("\\frac", "\\(", "$", "^", "=", "\\le", "sqrt", "∫", "≤", "√", "π")
)

# Classes of bytes that are counted; multi-byte characters count once per byte.
_DIGITS = string.digits.encode()
_UPPER = string.ascii_uppercase.encode()
_FOREIGN = bytes(range(128, 256))
_BRACKETS = b"()[]{}"
_SYMBOLS = b"+-*/<>=|&%^~\\$#@;"


def _count(raw: bytes, members: bytes) -> int:
    """Return how many bytes are of a class; deleting them is the fastest way to count them."""
    return len(raw) - len(raw.translate(None, members))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptShape:
    """What the features are made of.

    Attributes:
        text: the user's last message.
        n_turns: messages of the user so far, this one included.
        n_chars_total: characters of the whole request: system prompt, earlier turns, context.
        n_tools: tool schemas offered.
        has_json_format: the answer must be JSON.
        n_context_chars: characters of retrieved documents and the like.
    """

    text: str
    n_turns: int = 1
    n_chars_total: int = 0
    n_tools: int = 0
    has_json_format: bool = False
    n_context_chars: int = 0


FEATURE_NAMES: Final = (
    "log_chars",
    "log_chars_squared",
    "log_chars_elsewhere",
    "log_context_chars",
    "log_turns",
    "log_tools",
    "json_format",
    "log_words",
    "word_length",
    "log_lines",
    "digit_share",
    "upper_share",
    "foreign_share",
    "bracket_share",
    "symbol_share",
    "log_numbers",
    "log_code_marks",
    "log_maths_marks",
    "log_questions",
    "log_options",
    "log_shots",
    "asks_to_complete",
    "has_blank",
    "asks_fact",
    "asks_explanation",
    "asks_reasoning",
    "asks_writing",
    "log_negations",
    # Length means another thing in another kind of prompt; a linear model must be told.
    "log_chars_with_tools",
    "log_chars_with_options",
    "log_chars_with_code",
)


def features(shape: PromptShape) -> npt.NDArray[np.float32]:
    """Return the structural features of a prompt, in the order of ``FEATURE_NAMES``.

    Returns:
        Shape (F,), float32, all finite; logarithms are log(1 + count).
    """
    n_chars = len(shape.text)
    text = shape.text
    if n_chars > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{text[:_HEAD_CHARS]}\n{text[-_TAIL_CHARS:]}"
    raw = text.encode("utf-8", "surrogatepass")
    lower = raw.lower()
    words = lower.replace(b"'", b"").translate(_TO_WORDS).split()
    known = set(words)
    n_words = len(words)
    digit = _count(raw, _DIGITS)
    size = max(len(raw), 1)
    log_chars = log1p(n_chars)
    numbers = len(_NUMBER.findall(raw)) if digit else 0
    options = len(_OPTION.findall(raw))
    code = sum(map(lower.count, _CODE))
    return np.array(
        (
            log_chars,
            log_chars * log_chars / 10,
            log1p(max(shape.n_chars_total - n_chars - shape.n_context_chars, 0)),
            log1p(shape.n_context_chars),
            log1p(shape.n_turns),
            log1p(shape.n_tools),
            float(shape.has_json_format),
            log1p(n_words),
            min(len(text) / max(n_words, 1), 20.0),
            log1p(raw.count(b"\n")),
            digit / size,
            _count(raw, _UPPER) / size,
            0.0 if raw.isascii() else _count(raw, _FOREIGN) / size,
            _count(raw, _BRACKETS) / size,
            _count(raw, _SYMBOLS) / size,
            log1p(numbers),
            log1p(code),
            log1p(sum(map(lower.count, _MATHS))),
            log1p(raw.count(b"?")),
            log1p(options),
            log1p(lower.count(b"answer:") + lower.count(b"\nq:")),
            float(lower.rstrip().endswith(b":")),
            float(raw.count(b"_") > 1),
            float(not known.isdisjoint(_FACT)),
            float(not known.isdisjoint(_EXPLAIN)),
            float(not known.isdisjoint(_REASON)),
            float(not known.isdisjoint(_WRITE)),
            log1p(sum(map(words.count, _NEGATION & known))),
            log_chars if shape.n_tools else 0.0,
            log_chars if options > 1 else 0.0,
            log_chars if code > 1 else 0.0,
        ),
        dtype=np.float32,
    )
