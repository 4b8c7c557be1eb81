"""What can be seen of a prompt without understanding it: lengths, code, maths, options, tools.

Upper and lower case are not told apart, nor does the encoder: how somebody types says nothing of
how hard the question is.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from math import log1p
from typing import Final

import numpy as np
import numpy.typing as npt

FEATURE_VERSION: Final = "shape-2"
"""Changes whenever a feature changes its meaning; a model fitted on another version is refused."""

# Enough of a prompt to know its kind; the work stays the same for a text of 1 MB.
_HEAD_CHARS = 1500
_TAIL_CHARS = 500

_OPTION = re.compile(rb"\n\(?[a-j][.):]\s")
_NUMBER = re.compile(rb"\d+")
_NUMERIC_OPTION = re.compile(rb"\n\(?[a-j][.):]\s[ $(\\-]{0,3}\d")

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
_RELATION = frozenset(
    b"each every per than twice half double triple times remaining left total altogether rest more "
    b"less fewer another same as".split()
)
_CONDITION = frozenset(b"if then when unless suppose assume given let".split())
_COMMON = frozenset(
    b"the of and a to in is that it was for on are as with his they at be this from i have or by "
    b"one had not but what all were when we there can an your which their said if do will each "
    b"about how up out them then she many some so these would other into has more her two like him "
    b"see time could no make than first been its who now people my made over did down only way "
    b"find use may long little very after called just where most know".split()
)
_LONG_WORD = 9
_TO_WORDS = bytes(c if chr(c).isalnum() or c > 127 else 32 for c in range(256))
_CODE = tuple(
    b"```|def |return|import |class |function|assert|//|select |();".split(b"|"),
)
_MATHS = tuple(
    part.encode() for part in ("\\frac", "\\(", "$", "^", "=", "\\le", "sqrt", "∫", "≤", "√", "π")
)

# Classes of bytes that are counted; multi-byte characters count once per byte.
_DIGITS = string.digits.encode()
_FOREIGN = bytes(range(128, 256))
_BRACKETS = b"()[]{}"
_SYMBOLS = b"+-*/<>=|&%^~\\$#@;"
_OPERATORS = b"+*/=<>^"
_SENTENCE_ENDS = (b". ", b"? ", b"! ", b".\n", b"?\n", b"!\n")


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
    "log_stem_chars",
    "log_option_chars",
    "numeric_option_share",
    "log_distinct_numbers",
    "longest_number",
    "log_sentences",
    "log_sentence_chars",
    "log_commas",
    "log_relations",
    "log_conditions",
    "log_percents",
    "distinct_word_share",
    "long_word_share",
    "common_word_share",
    "log_quotes",
    "log_parentheses",
    "ends_in_question",
    "which_of_following",
    "judges_statements",
    "log_operators",
    "numbers_in_sentences",
    "sentences_with_numbers",
    "log_stem_with_options",
    "log_chars_in_word_problem",
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
    listed = _NUMBER.findall(raw) if digit else []
    numbers, found = len(listed), set(listed)
    options = len(_OPTION.findall(lower))
    code = sum(map(lower.count, _CODE))
    stem, option_chars, numeric_options = _parts(lower, options)
    sentences = sum(map(stem.count, _SENTENCE_ENDS)) + 1
    log_stem, log_numbers = log1p(len(stem)), log1p(numbers)
    is_word_problem = numbers > 1 and not options and code < 2 and not shape.n_tools
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
            0.0 if raw.isascii() else _count(raw, _FOREIGN) / size,
            _count(raw, _BRACKETS) / size,
            _count(raw, _SYMBOLS) / size,
            log_numbers,
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
            log1p(sum(map(_NEGATION.__contains__, words))),
            log_chars if shape.n_tools else 0.0,
            log_chars if options > 1 else 0.0,
            log_chars if code > 1 else 0.0,
            log_stem,
            log1p(option_chars),
            numeric_options,
            log1p(len(found)),
            min(max(map(len, found), default=0), 20) / 5,
            log1p(sentences),
            log1p(len(stem) / sentences),
            log1p(stem.count(b",")),
            log1p(sum(map(_RELATION.__contains__, words))),
            log1p(sum(map(_CONDITION.__contains__, words))),
            log1p(raw.count(b"%") + lower.count(b"percent")),
            len(known) / max(n_words, 1),
            sum(len(word) >= _LONG_WORD for word in words) / max(n_words, 1),
            sum(map(_COMMON.__contains__, words)) / max(n_words, 1),
            log1p(raw.count(b'"')),
            log1p(raw.count(b"(")),
            float(stem.rstrip().endswith(b"?")),
            float(b"which of the following" in lower),
            float(b"statement 1" in lower or b"statement i" in lower),
            log1p(_count(stem, _OPERATORS)),
            log_numbers if sentences > 2 else 0.0,
            log1p(sentences) if numbers else 0.0,
            log_stem if options else 0.0,
            log_chars if is_word_problem else 0.0,
        ),
        dtype=np.float32,
    )


def _parts(lower: bytes, n_options: int) -> tuple[bytes, float, float]:
    """Return the question before its options, their mean length, and how many are numbers."""
    first = _OPTION.search(lower) if n_options else None
    if first is None:
        return lower, 0.0, 0.0
    rest = len(lower) - first.start()
    numeric = len(_NUMERIC_OPTION.findall(lower))
    return lower[: first.start()], rest / n_options, numeric / n_options
