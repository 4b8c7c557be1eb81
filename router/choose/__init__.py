"""Which models shall answer: constraints first, then P(adequate) against price. Pure."""

from router.choose.choice import Pool, choose, is_reusable
from router.choose.chooser import UNSCORED, Chooser
from router.choose.need import (
    Need,
    estimate_tokens,
    is_permitted,
    need_of,
    permission_of,
    why_unfit,
)

__all__ = [
    "UNSCORED",
    "Chooser",
    "Need",
    "Pool",
    "choose",
    "estimate_tokens",
    "is_permitted",
    "is_reusable",
    "need_of",
    "permission_of",
    "why_unfit",
]
