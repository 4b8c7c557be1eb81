"""The routing decision as the path of a request asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from cache.types import Embedding, Vector
from router.choose.choice import Pool, choose, is_reusable
from router.choose.need import need_of, permission_of
from router.conversations import Held
from router.lengths import Length
from router.settings import NamespacePolicy
from router.types import UNFAMILIAR, ChatRequest, Routing

UNSCORED: Final = "unscored"
_UNLIKE: Final = "unlike anything the classifier was calibrated on, or not in English"


Adjust = Callable[[str, Sequence[str], Vector | None, Sequence[float]], Sequence[float]]
Expect = Callable[[str, Sequence[str], int], Sequence[Length] | None]


class Scored(Protocol):
    """What scoring a prompt gave."""

    @property
    def scores(self) -> tuple[float, ...]:
        """P(adequate) per tier of ability; empty: nothing scored it."""

    @property
    def scorer_id(self) -> str:
        """What the scores come from."""

    @property
    def embedding(self) -> Embedding | None:
        """Of the prompt; None: there is none."""


class Chooser:
    """Joins requests, policies and scores to choices.

    Args:
        pool: the configured models.
        probabilities: scores per tier to P(adequate) per model of the pool, in its order; empty
            where the scores do not fit (they are empty, or of other tiers).
        typical: P(adequate) per model for a prompt of which nothing is known.
        lengths: namespace, models and input tokens to what answers to expect, None: nothing is
            known.
        adjusted: namespace, models, vector (None: not at hand) and P(adequate) per model to the
            latter as the namespace's own traffic put it right.
    """

    def __init__(
        self,
        pool: Pool,
        probabilities: Callable[[tuple[float, ...]], Sequence[float]],
        typical: Sequence[float],
        lengths: Expect = lambda *_: None,
        adjusted: Adjust = lambda _, __, ___, p: p,
    ) -> None:
        self._adjusted = adjusted
        self._lengths = lengths
        self._names = [model.name for model in pool.models]
        self.pool = pool
        self._probabilities = probabilities
        self._typical = tuple(typical)

    def route(
        self,
        request: ChatRequest,
        policy: NamespacePolicy,
        found: Scored,
        held: Held | None = None,
    ) -> Routing:
        """Return what mode ``on`` makes of a scored request.

        Args:
            request: the request.
            policy: its namespace's.
            found: its scores.
            held: the model that its conversation is with.

        Raises:
            NoModelFits: no configured model can take it.
        """
        need = need_of(request, policy, held=held)
        lengths = self._lengths(request.namespace, self._names, need.input_tokens)
        if found.scorer_id == UNFAMILIAR:
            need = replace(need, is_routed=False, why_unrouted=_UNLIKE)
            chosen = choose(need, self.pool, self._typical, UNFAMILIAR, lengths)
        else:
            p_adequate = self._probabilities(found.scores)
            if not p_adequate:
                return choose(need, self.pool, self._typical, UNSCORED, lengths)
            vector = None if found.embedding is None else found.embedding.vector
            p_adequate = self._adjusted(request.namespace, self._names, vector, p_adequate)
            chosen = choose(need, self.pool, p_adequate, found.scorer_id, lengths)
        return replace(chosen, is_plain=True) if _is_plain(request, policy, held) else chosen

    def baseline(self, request: ChatRequest, policy: NamespacePolicy) -> Routing:
        """Return the chain as if scrimp were not there: the pinned or the baseline model.

        Raises:
            NoModelFits: no configured model can take it.
        """
        need = need_of(request, policy, is_routed=False)
        return choose(need, self.pool, self._typical, UNSCORED)

    def is_adequate(
        self, request: ChatRequest, policy: NamespacePolicy, model: str, scores: tuple[float, ...]
    ) -> bool:
        """Tell whether a stored answer of ``model`` may serve the request; see ``is_reusable``."""
        need = permission_of(request, policy)
        p = self._probabilities(scores) if scores else ()
        if p:
            p = self._adjusted(request.namespace, self._names, None, p)
        return is_reusable(need, self.pool, model, p)


def _is_plain(request: ChatRequest, policy: NamespacePolicy, held: Held | None) -> bool:
    """Tell whether nothing but scores and the namespace's rules had a say."""
    if policy.pinned_model or (held is not None and (held.cached_tokens or held.in_tool_loop)):
        return False
    wishes = request.wishes
    has_wish = wishes.pinned_model or wishes.allowed_models
    is_limited = wishes.quality_target is not None or wishes.max_cost_nanos is not None
    return not has_wish and not is_limited
