"""How many tokens a request would be: as its model's provider counts, else an estimate.

Counting costs nothing and is no answer, so that nothing of it stands in the ledger. But it is a
call that takes a prompt to a provider: it is made only where the model may answer the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from router.choose import estimate_tokens, is_permitted, permission_of
from router.errors import Overloaded, ProviderError, ProviderRejected
from router.fallback import Fallback
from router.ports import CountingProvider, ModelCall
from router.settings import NamespacePolicy
from router.types import ChatRequest

_CONNECT_S: Final = 5.0
_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Input tokens of a request; ``is_estimate`` where no provider counted them."""

    n_tokens: int
    is_estimate: bool


class TokenCounts:
    """Counts.

    Args:
        fallback: has the ways to each model, and their places.
        policy: the rules of a namespace; raises UnknownNamespace.
    """

    def __init__(self, fallback: Fallback, policy: Callable[[str], NamespacePolicy]) -> None:
        self._fallback = fallback
        self._policy = policy

    async def of(self, request: ChatRequest) -> TokenCount:
        """Count the tokens of a request at the model that it names.

        A request that names none, or one that namespace or request forbid, or one whose provider
        does not count, is estimated; so is one that its provider does not answer or has no place
        for, for whoever counts has something to decide.

        Raises:
            ProviderRejected: the provider refuses the request.
            UnknownNamespace: the settings close the set.
        """
        model = request.wishes.pinned_model or request.wishes.baseline_model
        may_answer = permission_of(request, self._policy(request.namespace))
        is_told = is_permitted(model, may_answer)
        for way in self._fallback.ways.get(model, ()) if is_told else ():
            if not isinstance(way.provider, CountingProvider):
                break
            call = ModelCall(
                model=way.provider_model,
                request=request,
                connect_s=_CONNECT_S,
                first_token_s=_WITHIN_S,
                total_s=_WITHIN_S,
            )
            try:
                async with self._fallback.place(way):
                    n_tokens = await way.provider.count_tokens(call)
                return TokenCount(n_tokens=n_tokens, is_estimate=False)
            except ProviderRejected:
                raise
            except Overloaded:
                break  # all its keys share the places
            except ProviderError:
                continue  # with the next key
        return TokenCount(n_tokens=estimate_tokens(request), is_estimate=True)
