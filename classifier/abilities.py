"""How able a model is, on one scale: known from training, or guessed from its price.

The scale is that of the joint fit in ``complexity_fit``: logits, 0 is the mean of the models known
to training, one more unit multiplies the odds of an adequate answer by about e.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Names that no rule below would bring together.
_SAME = {
    "gpt-4-1106": "gpt-4-turbo",
    "gpt-4-0125": "gpt-4-turbo",
    "gpt-4o-latest": "gpt-4o",
    "chatgpt-4o": "gpt-4o",
    "mistral-large-2": "mistral-large",
    "claude-v1": "claude-1",
    "claude-v2": "claude-2",
    "claude-instant-v1": "claude-instant",
    "claude-instant-1.2": "claude-instant",
    "wizardlm-13b-v1.2": "wizardlm-13b",
}
_HOST = re.compile(r"@.*$|-v\d:\d$|:(?:free|nitro|beta|extended|online|thinking|\d+)$")
_VENDOR = re.compile(r"^(?:[a-z]{2,6}\.)?(?:anthropic|meta|mistral|amazon|cohere|deepseek)\.")
_DATE = re.compile(
    r"-(?:20\d\d-?\d\d-?\d\d|\d\d-\d\d-\d\d|2[3-6]\d\d|(?:0\d|1[0-2])[0-3]\d|00[12])(?=-|$)"
)
_WORDS = re.compile(
    r"-(?:instruct|inst|chat|it|hf|preview|latest|exp|fp8|fc|any|auto|maas|versatile|v0\.\d|v1)(?=-|$)"
)
_MAKER = re.compile(r"^(?:meta-|open-|databricks-)(?=[a-z])")
_FAMILY = re.compile(r"^([a-z]+)(?=\d)")
_MINOR = re.compile(r"(?<=\d)-(?=\d(?:-|$))")


@lru_cache(maxsize=4096)
def normalize_model(name: str) -> str:
    """Return the name under which a model's ability is kept.

    Provider prefixes, hosts, dates and words such as "instruct" go; sizes and versions stay:
    ``openai/gpt-4o-mini-2024-07-18`` -> ``gpt-4o-mini``. Applying it twice changes nothing.
    """
    name = name.strip().lower().rsplit("/", 1)[-1]
    name = re.sub(r"(?<=\d)_(?=\d)", ".", name).rsplit("_", 1)[-1]
    name = _HOST.sub("", _VENDOR.sub("", name)).replace(":", "-").replace(" ", "-")
    while True:
        before = name
        name = _SAME.get(_WORDS.sub("", name), _SAME.get(name, name))
        name = _WORDS.sub("", _MAKER.sub("", name))
        name = _DATE.sub("", name) if name not in _SAME else name
        name = _MINOR.sub(".", _FAMILY.sub(r"\1-", name))
        if name == before:
            return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """Which model is how able.

    Attributes:
        known: normalized name to ability, from training.
        prior_intercept: ability of a model at 1 USD per million tokens.
        prior_slope: ability gained per tenfold price.
        low: least ability of a known model; the prior never goes below it.
        high: greatest ability of a known model; the prior never goes above it.
    """

    known: Mapping[str, float]
    prior_intercept: float
    prior_slope: float
    low: float
    high: float

    def of(self, model: str) -> float | None:
        """Return the ability of a model, None where training never met it."""
        return self.known.get(normalize_model(model))

    def prior(self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None) -> float:
        """Return the ability that a price suggests, for a model that training never met.

        Three input tokens are counted for one output token. Without any price: the middle of
        what is known, since nothing is known.

        Args:
            input_usd_per_mtok: US dollars per million input tokens.
            output_usd_per_mtok: US dollars per million output tokens.
        """
        given = [
            (weight, price)
            for weight, price in ((3.0, input_usd_per_mtok), (1.0, output_usd_per_mtok))
            if price is not None and price > 0
        ]
        if not given:
            return (self.low + self.high) / 2
        blended = sum(w * p for w, p in given) / sum(w for w, _ in given)
        guess = self.prior_intercept + self.prior_slope * math.log10(blended)
        return min(max(guess, self.low), self.high)


def p_adequate(scores: Sequence[float], tiers: Sequence[float], ability: float) -> float:
    """Return P(adequate) for a model between two tiers.

    Between tiers the logit is interpolated, so the probability stays between theirs; beyond the
    outer tiers it stays at theirs: no claim is made about models that training never saw.

    Args:
        scores: P(adequate) per tier, as ``score`` returns them for one prompt.
        tiers: abilities, ascending, of the same length.
        ability: of the model, on the scale of the tiers.
    """
    if ability <= tiers[0]:
        return float(scores[0])
    if ability >= tiers[-1]:
        return float(scores[-1])
    right = bisect_right(tiers, ability)
    share = (ability - tiers[right - 1]) / (tiers[right] - tiers[right - 1])
    low, high = _logit(scores[right - 1]), _logit(scores[right])
    return 1.0 / (1.0 + math.exp(-(low + share * (high - low))))


def _logit(p: float) -> float:
    p = min(max(float(p), 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
