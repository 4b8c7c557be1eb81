"""What a request asks of a model, and whether a model brings it. Pure.

Token counts are estimates: 3.5 bytes of UTF-8 a token, 4 tokens a message, 1,000 for a part that
is no text. An unknown context window counts as unbounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router.conversations import Held
from router.settings import ModelSpec, NamespacePolicy
from router.types import NANOS_PER_USD, ChatRequest

BYTES_PER_TOKEN: Final = 3.5
TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_MEDIA_PART: Final = 1_000

_NO_CAPABILITY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a request asks of a model.

    Attributes:
        input_tokens: estimated.
        max_tokens: the longest answer the caller takes; None: not said.
        n_answers: answers asked for at once.
        capabilities: of ``tools``, ``vision``, ``json``.
        allowed_models: by request and policy together; None: all.
        pinned_model: only this one; empty: any.
        quality_target: in (0, 1].
        max_cost_nanos: the most an answer may be expected to cost; None: no limit.
        held: the model that the conversation is with; None: nobody knows of any.
        is_routed: False: mode off or shadow, where all goes to the baseline, or a prompt of which
            the classifier claims nothing.
        why_unrouted: said in the decision then.
        baseline_model: the request's own baseline; empty: the pool's.
    """

    input_tokens: int = 0
    max_tokens: int | None = None
    n_answers: int = 1
    capabilities: frozenset[str] = _NO_CAPABILITY
    allowed_models: frozenset[str] | None = None
    pinned_model: str = ""
    quality_target: float = 0.95
    max_cost_nanos: int | None = None
    held: Held | None = None
    is_routed: bool = True
    baseline_model: str = ""
    why_unrouted: str = "not routed"


def need_of(
    request: ChatRequest,
    policy: NamespacePolicy,
    *,
    held: Held | None = None,
    is_routed: bool = True,
) -> Need:
    """Read off a request and its namespace's policy what a model must bring.

    Args:
        request: what is asked.
        policy: of its namespace.
        held: the model that its conversation is with.
        is_routed: False in modes off and shadow, where all goes to the baseline.
    """
    target = request.wishes.quality_target
    return Need(
        input_tokens=estimate_tokens(request),
        max_tokens=request.sampling.max_tokens,
        n_answers=request.sampling.n or 1,
        capabilities=_capabilities(request),
        allowed_models=_allowed(request, policy),
        pinned_model=request.wishes.pinned_model or policy.pinned_model,
        quality_target=policy.quality_target if target is None else target,
        max_cost_nanos=_max_cost(request, policy) if is_routed else None,
        held=held,
        is_routed=is_routed,
        baseline_model=request.wishes.baseline_model,
    )


def permission_of(request: ChatRequest, policy: NamespacePolicy) -> Need:
    """Read off only who may answer and how well; enough to judge a stored answer."""
    target = request.wishes.quality_target
    return Need(
        allowed_models=_allowed(request, policy),
        pinned_model=request.wishes.pinned_model or policy.pinned_model,
        quality_target=policy.quality_target if target is None else target,
        baseline_model=request.wishes.baseline_model,
    )


def _max_cost(request: ChatRequest, policy: NamespacePolicy) -> int | None:
    """The lower of what request and policy allow; None: neither says."""
    said = [n for n in (policy.max_cost_nanos, request.wishes.max_cost_nanos) if n is not None]
    return min(said, default=None)


def estimate_tokens(request: ChatRequest) -> int:
    """Estimate the input tokens of a request; an estimate of size, never of cost."""
    n_bytes = len(request.response_format.schema_json)
    n_media = 0
    for message in request.messages:
        for part in message.parts:
            if part.media_type:
                n_media += 1
            else:
                n_bytes += _n_bytes(part.text)
        for call in message.tool_calls:
            n_bytes += len(call.name) + _n_bytes(call.arguments_json)
    for tool in request.tools:
        n_bytes += len(tool.name) + _n_bytes(tool.description) + _n_bytes(tool.parameters_json)
    overhead = TOKENS_PER_MESSAGE * len(request.messages) + TOKENS_PER_MEDIA_PART * n_media
    return int(n_bytes / BYTES_PER_TOKEN) + overhead + 1


def why_unfit(model: ModelSpec, need: Need) -> str:
    """Say which constraint rules a model out; empty when none does."""
    name = model.name
    if need.pinned_model and name != need.pinned_model:
        return f"not the pinned model {need.pinned_model}"
    if need.allowed_models is not None and name not in need.allowed_models:
        return "not in allowed_models"
    if not need.capabilities <= model.capabilities:
        return "needs " + " and ".join(sorted(need.capabilities - model.capabilities))
    needed = need.input_tokens + (need.max_tokens or 0)
    if model.context_window is not None and model.context_window < needed:
        return f"context window {model.context_window} < {needed} estimated tokens"
    longest = model.max_output_tokens
    if longest is not None and need.max_tokens is not None and longest < need.max_tokens:
        return f"longest answer {longest} < max_tokens {need.max_tokens}"
    return ""


def why_too_dear(cost_nanos: int | None, need: Need) -> str:
    """Say why what a model may cost rules it out; empty when it does not."""
    most = need.max_cost_nanos
    if most is None or (cost_nanos is not None and cost_nanos <= most):
        return ""
    if cost_nanos is None:
        return f"its price is unknown, and a request may cost {_usd(most)} at most"
    return f"expected up to {_usd(cost_nanos)} > {_usd(most)} a request"


def _usd(nanos: int) -> str:
    return f"${nanos / NANOS_PER_USD:.6g}"


def is_permitted(name: str, need: Need) -> bool:
    """Tell whether a model may answer at all, by name."""
    if need.pinned_model and name != need.pinned_model:
        return False
    return need.allowed_models is None or name in need.allowed_models


def _allowed(request: ChatRequest, policy: NamespacePolicy) -> frozenset[str] | None:
    """Who may answer: by policy, by the policy's pin and by the request together; None: all."""
    allowed: frozenset[str] | None = None
    policy_pin = (policy.pinned_model,) if policy.pinned_model else ()
    for names in (policy.allowed_models, policy_pin, request.wishes.allowed_models):
        if names:
            allowed = frozenset(names) if allowed is None else allowed.intersection(names)
    return allowed


def _capabilities(request: ChatRequest) -> frozenset[str]:
    needed = set()
    if request.tools:
        needed.add("tools")
    if request.response_format.kind != "text":
        needed.add("json")
    if any(part.media_type for message in request.messages for part in message.parts):
        needed.add("vision")
    return frozenset(needed) if needed else _NO_CAPABILITY


def _n_bytes(text: str) -> int:
    """Bytes in UTF-8; O(1) for ASCII."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
