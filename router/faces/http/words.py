"""What a caller says to scrimp beside the request, and what scrimp says beside the answer.

One vocabulary: a header ``x-scrimp-user`` and a key ``x-scrimp-user`` of the body's ``metadata``
mean the same; the header wins. A word that is not known is refused: it would be obeyed by nobody.
Namespace and caller come by header only: apps fill ``metadata`` with what their own users say, and
those must not choose whose answers they read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.errors import InvalidRequest
from router.faces.bounds import Limits, read_name, read_names, seconds, target
from router.faces.keys import Access
from router.types import (
    ANTHROPIC_HEADERS,
    ANTHROPIC_VERSION,
    NANOS_PER_USD,
    Attribution,
    CacheControl,
    ChatRequest,
    Wishes,
)
from scrimp.v1 import chat_pb2, gateway_pb2

PREFIX: Final = "x-scrimp-"
_KNOWN: Final = (
    *("namespace", "caller", "user", "feature", "task", "conversation", "tags"),
    *("cache-control", "quality-target", "max-cost-usd", "allowed-models"),
    *("request-id", "timeout-s"),
)
_BY_HEADER_ONLY: Final = ("namespace", "caller")
_ANTHROPIC: Final = "/v1/messages"
_CONTROLS: Final = "bypass, no-store and max-age=SECONDS, separated by commas"
_MOST_HEADER_CHARS: Final = 4_096
_MOST_USD: Final = 1_000_000
_OUTCOME: Final = "CACHE_OUTCOME_"
_REASON: Final = "MISS_REASON_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a caller says beside the request.

    Attributes:
        timeout_s: the caller's deadline; None: it brings none.
        anthropic: headers that choose what Anthropic's Messages mean, by name, for whoever speaks
            them; those that say what is usual are left out.
    """

    namespace: str
    caller: str
    attribution: Attribution
    cache_control: CacheControl
    wishes: Wishes
    tags: tuple[str, ...]
    request_id: str
    timeout_s: float | None
    anthropic: Mapping[str, str]

    def said_of(self, request: ChatRequest, wishes: Wishes) -> ChatRequest:
        """Return a request with these words; ``wishes`` are those that its model's name stands for.

        Raises:
            InvalidRequest: the caller allows none of the models that the name does.
        """
        own, allowed = self.wishes, wishes.allowed_models
        if own.allowed_models and allowed:
            allowed = tuple(name for name in own.allowed_models if name in allowed)
            if not allowed:
                raise InvalidRequest(
                    f"{PREFIX}allowed-models holds none of those that cost no more than the model "
                    f"asked for: {', '.join(wishes.allowed_models)}"
                )
        return replace(
            request,
            cache_control=self.cache_control,
            tags=self.tags,
            request_id=self.request_id,
            wishes=replace(
                wishes,
                allowed_models=allowed or own.allowed_models,
                quality_target=own.quality_target,
                max_cost_nanos=own.max_cost_nanos,
            ),
        )


def read_words(
    headers: Mapping[str, str], metadata: object, limits: Limits, access: Access
) -> Words:
    """Read what a caller says beside the request.

    Args:
        headers: of the request, found by name in any case.
        metadata: of the body; other keys than ours are the caller's own business.
        limits: of the settings.
        access: what the caller may.

    Raises:
        NotPermitted: the caller is not whom it says, or does not speak for the namespace.
        InvalidRequest: says which word, what was seen, what is expected.
    """
    said = _said(headers.items())
    if isinstance(metadata, dict):
        written = _said(metadata.items())
        for word in _BY_HEADER_ONLY:
            if word in written:
                raise InvalidRequest(
                    f"{PREFIX}{word} stands in metadata, and is taken from the header alone; send "
                    f"it as a header"
                )
        said = written | said

    def name(word: str) -> str:
        return read_name(said.get(word, ""), PREFIX + word, limits)

    def names(word: str) -> tuple[str, ...]:
        split = (one.strip() for one in said.get(word, "").split(","))
        return read_names((one for one in split if one), PREFIX + word, limits)

    wanted, cost = said.get("quality-target"), said.get("max-cost-usd")
    timeout = said.get("timeout-s")
    return Words(
        namespace=access.asks_for(name("namespace")),
        caller=access.caller(name("caller")),
        attribution=Attribution(
            user=access.user(name("user")),
            feature=name("feature"),
            task=name("task"),
            conversation=name("conversation"),
        ),
        cache_control=_cache_control(said.get("cache-control", "")),
        wishes=Wishes(
            allowed_models=names("allowed-models"),
            quality_target=None if wanted is None else _target(wanted),
            max_cost_nanos=None if cost is None else _nanos(cost),
        ),
        tags=names("tags"),
        request_id=name("request-id"),
        timeout_s=None if timeout is None else _seconds(timeout),
        anthropic=_anthropic(headers),
    )


def check_user(body: Mapping[str, object], path: str, access: Access) -> None:
    """Check whom a body names, in the field that its API has for that.

    Raises:
        NotPermitted: another than the key's user.
    """
    user = body.get("user")
    if path == _ANTHROPIC:
        metadata = body.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user, str):
        access.user(user)


def _anthropic(headers: Mapping[str, str]) -> dict[str, str]:
    """Return version and betas; a proxy may have sent the betas in several headers."""
    found = {}
    for name in ANTHROPIC_HEADERS:
        if name not in headers:
            continue
        every = ",".join(value for key, value in headers.items() if key.lower() == name)
        value = ",".join(filter(None, (one.strip() for one in every.split(","))))
        if not (value.isascii() and value.isprintable()) or len(value) > _MOST_HEADER_CHARS:
            raise InvalidRequest(
                f"{name} is {value[:40]!r}, expected at most {_MOST_HEADER_CHARS} printable "
                "characters of ASCII"
            )
        if value and value != ANTHROPIC_VERSION:
            found[name] = value
    return found


def _said(pairs: Iterable[tuple[object, object]]) -> dict[str, str]:
    said: dict[str, str] = {}
    for key, value in pairs:
        word = str(key).lower()
        if not word.startswith(PREFIX):
            continue
        word = word.removeprefix(PREFIX)
        if word not in _KNOWN:
            raise InvalidRequest(
                f"{PREFIX}{word[:40]} is not known; there are: {', '.join(_KNOWN)}"
            )
        if not isinstance(value, str):
            raise InvalidRequest(f"{PREFIX}{word} is {type(value).__name__}, expected a string")
        said.setdefault(word, value)
    return said


def _number(value: str, word: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InvalidRequest(f"{PREFIX}{word} is {value[:40]!r}, expected a number") from error


def _target(value: str) -> float:
    return target(_number(value, "quality-target"), f"{PREFIX}quality-target")


def _seconds(value: str) -> float:
    return seconds(_number(value, "timeout-s"), f"{PREFIX}timeout-s")


def _nanos(value: str) -> int:
    usd = _number(value, "max-cost-usd")
    if not 0 <= usd <= _MOST_USD:
        raise InvalidRequest(f"{PREFIX}max-cost-usd is a number in [0, {_MOST_USD}], got {usd:g}")
    return round(usd * NANOS_PER_USD)


def _cache_control(value: str) -> CacheControl:
    control = CacheControl()
    for one in filter(None, (part.strip().lower() for part in value.split(","))):
        if one == "bypass":
            control = replace(control, is_bypass=True)
        elif one == "no-store":
            control = replace(control, is_no_store=True)
        elif one.startswith("max-age="):
            age_s = _number(one.removeprefix("max-age="), "cache-control")
            control = replace(control, max_age_s=seconds(age_s, "max-age"))
        else:
            raise InvalidRequest(
                f"{PREFIX}cache-control holds {one[:40]!r}, which is none of {_CONTROLS}"
            )
    return control


def report_headers(report: gateway_pb2.GatewayReport) -> dict[str, str]:
    """Return the headers that say what scrimp did; what is not known has none."""
    cache, cost = report.cache, report.cost
    figures: tuple[tuple[str, chat_pb2.CacheReport | chat_pb2.Cost, str], ...] = (
        ("similarity", cache, "similarity"),
        ("p-right", cache, "p_right"),
        ("age-s", cache, "age_s"),
        ("cost-usd-nanos", cost, "cost_usd_nanos"),
        ("baseline-usd-nanos", cost, "baseline_usd_nanos"),
        ("saved-usd-nanos", cost, "saved_usd_nanos"),
    )
    headers = {
        "x-request-id": report.response_id,  # where OpenAI's clients look for it
        "request-id": report.response_id,  # and where Anthropic's do
        f"{PREFIX}response-id": report.response_id,
        f"{PREFIX}cache": _word(chat_pb2.CacheOutcome.Name(cache.outcome), _OUTCOME),
        f"{PREFIX}model": report.model,
        f"{PREFIX}baseline-model": cost.baseline_model,
    }
    if cache.miss_reason:
        reason = chat_pb2.MissReason.Name(cache.miss_reason)
        headers[f"{PREFIX}miss-reason"] = _word(reason, _REASON)
    if cache.entry_id:
        headers[f"{PREFIX}entry-id"] = cache.entry_id
    for word, message, field in figures:
        if message.HasField(field):  # type: ignore[arg-type]  # stubs want the literal name
            headers[PREFIX + word] = _figure(getattr(message, field))
    if report.replayed:
        headers[f"{PREFIX}replayed"] = "true"
    return headers


def _figure(value: float) -> str:
    """Write a figure: money, which is whole nano-dollars, to the last one; a share may be short."""
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
