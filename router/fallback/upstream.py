"""Where a model is called, and how patiently."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from router.choose import estimate_tokens
from router.fallback.circuit import CircuitRule
from router.ports import Provider
from router.types import ChatRequest

_MARGIN: Final = 1.25
"""By which an estimate of tokens may be short."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upstream:
    """One way to a configured model: with one key. Two keys are two ways; each is itself only.

    Attributes:
        model: its name in the settings.
        provider_name: its provider's name in the settings.
        provider: the adapter, which holds the key.
        provider_model: the provider's own name of the model.
        key_name: the environment variable that the key is from; empty: none is sent.
        weight: share of the model's calls that go this way, against its other ways.
        max_in_flight: calls to the provider at once, over all its models and keys.
        max_waiting: calls that wait for one of them to end.
        max_output_tokens: longest answer of the model; None: unknown.
        context_window: of the model, for input and answer together; None: unknown.
    """

    model: str
    provider_name: str
    provider: Provider
    provider_model: str
    key_name: str = ""
    weight: float = 1.0
    max_in_flight: int = 512
    max_waiting: int = 256
    max_output_tokens: int | None = None
    context_window: int | None = None

    def longest_answer(self, request: ChatRequest) -> int | None:
        """Return the longest answer that fits beside a request, in tokens; None: unknown.

        Where the estimated input leaves little of the window, nothing is said either.
        """
        most, window = self.max_output_tokens, self.context_window
        if most is None or request.sampling.max_tokens is not None or window is None:
            return most
        room = window - int(estimate_tokens(request) * _MARGIN)
        return min(most, room) if room > 0 else None

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What makes two ways of different settings one: the model, at one address with one key."""
        return self.model, self.provider_model, self.key_name, id(self.provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often.

    Attributes:
        connect_s: seconds to connect.
        first_token_s: seconds from sending to the first byte of a stream.
        between_tokens_s: seconds between two pieces of an answer.
        total_s: seconds for one call, to its last byte.
        max_attempts: upstream calls per request, over all models.
        tries_per_model: calls to one model before the next is asked.
        backoff_s: mean wait before the same model is asked again; doubles each time; drawn evenly
            from 0 to twice the mean, so that those who failed together come back apart.
        max_backoff_s: longest wait before a call, be it for a retry, for what Retry-After asks, or
            for a place among the provider's calls; above it the next model is asked.
        retry_share: repeated calls to a provider per request that goes there.
        retry_burst: repeated calls that may be saved up.
        hedge_after_s: seconds without an answer after which a second call is made beside the
            first; None: never.
        circuit: when a model is left alone for a while.
    """

    connect_s: float = 5.0
    first_token_s: float = 60.0
    between_tokens_s: float = 30.0
    total_s: float = 600.0
    max_attempts: int = 5
    tries_per_model: int = 2
    backoff_s: float = 0.25
    max_backoff_s: float = 5.0
    retry_share: float = 0.2
    retry_burst: int = 20
    hedge_after_s: float | None = None
    circuit: CircuitRule = field(default_factory=CircuitRule)
