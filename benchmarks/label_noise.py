"""Where a label is wrong by a rule that can be stated: one question in two spellings.

Human labels of question pairs are noisy; some call two spellings of one question different. A hit
between such two is wrong by its label and right by any reader. What the rule takes for one
question is plain enough to be checked by eye, and knows nothing of the decision under test.
"""

from __future__ import annotations

import re
from typing import Final

RULE: Final = (
    "one question: equal without case, punctuation, hyphens and articles, with contractions "
    "written out, with 'how do/can/could/should/would/does I/you/we/one' as 'how to', without "
    "what only asks ('show me', 'would you tell me', 'list', 'get', 'i need', 'what are', "
    "'please', 'are there', 'for me'), 'any', 'being' before a participle, 'on' before a weekday, "
    "and the s of plurals"
)

_SPELT: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (r"[’`´]", "'"),
        (r"\bwon't\b", "will not"),
        (r"\bcan't\b|\bcannot\b", "can not"),
        (r"n't\b", " not"),
        (r"\b(what|where|who|how|it|that|there)'?s\b", r"\1 is"),
        (r"\bi'm\b", "i am"),
        (r"'(re)\b", " are"),
        (r"'(ve)\b", " have"),
        (r"'ll\b", " will"),
        (r"(?<=[a-z])-(?=[a-z])", " "),
        (r"[?.!,;:\"“”()]+(?=\s|$)|(?:^|(?<=\s))[\"“”(]+", " "),
        (r"\b(a|an|the|please|any|for me)\b", " "),
        (r"\bhow (?:do|can|could|should|would|does) (?:i|you|we|one)\b", "how to"),
        (
            r"^\s*(?:(?:would|could|can) you )?"
            r"(?:(?:show|tell|give)(?: me)?|list|find|get|i need|what (?:is|are)|which are)\b",
            " ",
        ),
        (r"\b(is|are)\s+there\b", r"\1"),
        (r"\bbeing\s+(?=\w+ed\b)", ""),
        (r"\b(?:are|do we have)\s*$", " "),
        (r"\bon\s+(?=\w+day\b)", " "),
        (r"(?<=[a-z]{3}[^s\W])s\b", ""),
    )
)


def is_one_question(one: str, two: str) -> bool:
    """Tell whether two texts are one question by ``RULE``."""
    return _plain(one) == _plain(two)


def _plain(text: str) -> str:
    said = text.lower()
    for pattern, instead in _SPELT:
        said = pattern.sub(instead, said)
    return " ".join(said.split())
