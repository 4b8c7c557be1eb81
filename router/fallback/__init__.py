"""Calling models: the chain is walked until one answers.

``chain`` drives, ``plan`` says who is asked next and when, ``circuit`` and ``budget`` keep a sick
provider from being hammered, ``hedge`` races two calls, ``walk`` holds what happened;
``ways`` turns settings into ways to models.
"""

from router.fallback.chain import Fallback
from router.fallback.circuit import CircuitRule
from router.fallback.upstream import Patience, Upstream
from router.fallback.walk import Walk
from router.fallback.ways import Adapters, patience_of

__all__ = [
    "Adapters",
    "CircuitRule",
    "Fallback",
    "Patience",
    "Upstream",
    "Walk",
    "patience_of",
]
