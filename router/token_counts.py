"""How many tokens a request would be: as its model's provider counts, else an estimate.

Counting costs nothing and is no answer, so that nothing of it stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.choose import estimate_tokens
from router.errors import ProviderError, ProviderRejected
from router.fallback import Upstream
from router.ports import CountingProvider, ModelCall
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
        upstreams: the ways to each model, by the settings' name of the model.
    """

    def __init__(self, upstreams: Mapping[str, Sequence[Upstream]]) -> None:
        self._upstreams = upstreams

    async def of(self, request: ChatRequest) -> TokenCount:
        """Count the tokens of a request at the model that it names.

        A request that names none, or one whose provider does not count, is estimated; so is one
        that its provider does not answer, for whoever counts has something to decide.

        Raises:
            ProviderRejected: the provider refuses the request.
        """
        model = request.wishes.pinned_model or request.wishes.baseline_model
        for way in self._upstreams.get(model, ()):
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
                return TokenCount(n_tokens=await way.provider.count_tokens(call), is_estimate=False)
            except ProviderRejected:
                raise
            except ProviderError:
                continue  # with the next key
        return TokenCount(n_tokens=estimate_tokens(request), is_estimate=True)
