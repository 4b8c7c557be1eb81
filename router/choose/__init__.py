"""Which models shall answer: constraints first, then P(adequate) against price. Pure."""

from router.choose.choice import Pool, choose, is_reusable
from router.choose.chooser import UNSCORED, Chooser
from router.choose.need import Need, estimate_tokens, need_of, why_unfit

__all__ = [
    "UNSCORED",
    "Chooser",
    "Need",
    "Pool",
    "choose",
    "estimate_tokens",
    "is_reusable",
    "need_of",
    "why_unfit",
]
