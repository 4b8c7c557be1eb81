"""The values that travel the path of a request. All frozen; checked where they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

NANOS_PER_USD: Final = 1_000_000_000
ANTHROPIC: Final = "anthropic"
"""The further field that holds what only Anthropic's Messages have words for, as an object.

So a request that came in these words reaches Anthropic in them, and other wires, whose words the
other further fields are, know what to leave out. Of a request, a message, a part, a tool and a call
alike, and the wire of a request or an answer in these words.
"""
ANTHROPIC_HEADERS: Final = ("anthropic-beta", "anthropic-version")
"""Further fields that are headers: they choose what Anthropic's Messages mean."""
ANTHROPIC_VERSION: Final = "2023-06-01"
"""What that header says where the caller says nothing."""
OPENAI: Final = "openai"
"""The wire of a request or an answer in the words of chat completions."""
UNFAMILIAR: Final = "unfamiliar"
"""Stands for the scorer where the classifier claims nothing of a prompt."""


class Mode(StrEnum):
    """What a namespace lets the service do.

    ``OFF``: meter only. ``SHADOW``: decide, measure and report what would have been saved, and
    serve nothing. ``ON``: serve stored answers and route.
    """

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class Share(StrEnum):
    """Who may receive an answer made for another: its own user only, or the whole namespace."""

    USER = "user"
    NAMESPACE = "namespace"


class Face(StrEnum):
    """Through which door a request came."""

    GATEWAY = "gateway"
    ADVISOR = "advisor"


class Role(StrEnum):
    """Who speaks a message."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a message: text, or something else by reference or by value.

    Attributes:
        text: the text; empty for other media.
        media_type: empty for text; else an IANA media type such as ``image/png``.
        uri: where a non-text part lives; empty when it comes by value.
        data: a non-text part by value.
        detail: how closely an image is to be looked at, in the provider's words; may be empty.
        extra_json: a JSON object of further fields, passed through; empty: none.
        is_context: must match exactly and stands outside the compared text (a retrieved document).
    """

    text: str = ""
    media_type: str = ""
    uri: str = ""
    data: bytes = b""
    detail: str = ""
    is_context: bool = False
    extra_json: str = ""

    @property
    def is_own_text(self) -> bool:
        """Whether it is text, and no context."""
        return not self.media_type and not self.is_context


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that an assistant asked for; ``arguments_json`` is passed on as it came.

    Attributes:
        extra_json: a JSON object of further fields, passed on both ways; empty: none.
    """

    id: str
    name: str
    arguments_json: str
    extra_json: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn; ``extra_json`` is a JSON object of further fields, passed through, or empty."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    extra_json: str = ""

    @property
    def own_text(self) -> str:
        """The message's own words: its text parts that are no context, one per line."""
        if len(self.parts) == 1 and self.parts[0].is_own_text:
            return self.parts[0].text
        return "\n".join(part.text for part in self.parts if part.is_own_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call.

    Attributes:
        parameters_json: its JSON schema; empty: it takes none.
        is_strict: arguments must follow the schema; None: the provider's default.
        extra_json: a JSON object of further fields, passed through; empty: none.
    """

    name: str
    description: str = ""
    parameters_json: str = ""
    is_strict: bool | None = None
    extra_json: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The form asked of the answer: ``text``, ``json_object`` or ``json_schema``."""

    kind: str = "text"
    schema_json: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the model draws its answer; None: the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """How much the model may think; ``effort`` in the provider's words, budget in tokens."""

    effort: str = ""
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Whom a request is accounted to. Never sent to a provider."""

    user: str = ""
    feature: str = ""
    task: str = ""
    conversation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControl:
    """The caller's word on reuse.

    Attributes:
        is_bypass: do not look up; the fresh answer may be stored.
        is_no_store: keep neither text nor answer.
        max_age_s: stored answers older than this are no hits; None: their TTL decides.
    """

    is_bypass: bool = False
    is_no_store: bool = False
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The caller's word on routing.

    Attributes:
        pinned_model: only this model may answer; empty: any.
        allowed_models: only these may answer; empty: any.
        quality_target: share of the strongest model's quality in (0, 1]; None: the policy's.
        max_cost_nanos: that the answer is expected to cost at most; None: the policy's word alone.
        baseline_model: where the request would have gone without scrimp; empty: as the settings
            say.
    """

    pinned_model: str = ""
    allowed_models: tuple[str, ...] = ()
    quality_target: float | None = None
    max_cost_nanos: int | None = None
    baseline_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One validated request.

    Attributes:
        namespace: the tenant's word; never empty.
        caller: who is connected, as the face found out; part of every scope, never of the key.
        messages: at least one.
        tool_choice_json: as the provider understands it; empty: its default.
        extra: unknown fields by name, as JSON; passed through, and part of the key.
        request_id: makes a retry the same request; empty: every call is its own.
        deadline_at: seconds of the monotonic clock, when the caller stops waiting; None: unknown.
            Never part of the key.
        wire: in whose words it came, so that pieces of a stream may go back in them: ``OPENAI``,
            ``ANTHROPIC``, or empty. Never part of the key.
    """

    namespace: str
    caller: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice_json: str = ""
    response_format: ResponseFormat = ResponseFormat()
    sampling: Sampling = Sampling()
    reasoning: Reasoning = Reasoning()
    attribution: Attribution = Attribution()
    cache_control: CacheControl = CacheControl()
    wishes: Wishes = Wishes()
    tags: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    deadline_at: float | None = None
    wire: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call as the provider counted them.

    Attributes:
        input_tokens: all input, cached input included.
        output_tokens: all output, reasoning included.
        cache_read_tokens: input that came from the provider's prompt cache (within input_tokens).
        cache_write_tokens: input written to that cache (within input_tokens).
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


def credible(usage: Usage | None, answer: Answer | None) -> Usage | None:
    """Return a usage that can be true, else None: unknown is not 0.

    Some providers say 0 where they do not count. There is no call without input, and no answer
    without output.
    """
    if usage is None or usage.input_tokens == 0:
        return None
    says_something = answer is not None and (answer.text or answer.tool_calls)
    return None if says_something and usage.output_tokens == 0 else usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said.

    Attributes:
        text: the answer's text; with n > 1, the first choice's.
        finish_reason: the provider's word: ``stop``, ``length``, ``tool_calls``, ...
        tool_calls: what the model asks the app to run.
        refusal: the provider's own refusal text, if it marks refusals.
        extra_choices_json: choices 2..n as a JSON array; empty when n is 1.
        logprobs_json: token log probabilities as the provider gave them; may be empty.
        extra_json: what it says beyond that, in its own wire's words; see ``own_words``. May be
            empty.
    """

    text: str
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    extra_choices_json: str = ""
    logprobs_json: str = ""
    extra_json: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer with what it took. ``usage`` is None when the provider did not say."""

    answer: Answer
    usage: Usage | None
    provider_model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of an answer as it comes; tool calls come whole, once they are complete.

    Attributes:
        own: the piece in its wire's own words, by the wire's name, where these say more; whoever
            understands them leaves the other fields aside. See ``own_words``.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    own: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model as the routing decision saw it.

    Attributes:
        model: its name in the settings.
        p_adequate: calibrated P(its answer is adequate) in [0, 1].
        expected_cost_nanos: for this request, None when its price is unknown.
        rejection: why it was not taken; empty for the chosen one and its fallbacks, unless one of
            them could not be asked when its turn came.
        fits: no constraint rules it out.
    """

    model: str
    p_adequate: float
    expected_cost_nanos: int | None
    rejection: str = ""
    fits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Which models shall answer, best first, and why.

    Attributes:
        chain: the chosen model, then its fallbacks; never empty.
        candidates: every configured model with why it was or was not taken.
        reason: one sentence: why the first of the chain.
        scorer: id of what scored the prompt; ``rules-1`` when the classifier is missing,
            ``unfamiliar`` when it claims nothing of this prompt.
        quality_target: the target that was applied.
        is_plain: scores and the namespace's own rules decided, and nothing else: no wish of the
            request, no earlier turn of its conversation.
    """

    chain: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    reason: str
    scorer: str
    quality_target: float
    is_plain: bool = False
