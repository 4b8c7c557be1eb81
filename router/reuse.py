"""May an answer to this request be reused, and for whom? Rules over the request alone; pure.

They hold for exact repeats, near-duplicates and shared calls alike:

- personal text lives with its user; without one it is neither stored nor shared,
- time-bound text is reused only within the configured freshness; without one, never,
- what the rules cannot read (other languages than English, turns long ago) lives with its user, and
  an hour at most: it may be personal or time-bound,
- everything else is shared as the namespace's policy says.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from cache.language import is_english
from cache.text_rules import is_content_free, is_personal, is_time_bound
from cache.types import MissReason, ReusePolicy
from router.partition import Split, split
from router.types import ChatRequest, Message, Role, Share

_UNREAD_TTL_S = 3_600
_MAX_TURNS_READ = 20
_MAX_TURN_CHARS_READ = 24_576
_SHORT_CHARS = 512  # longer texts are remembered by digest, so memory does not grow with them
_MAX_LONG_TEXTS = 16_384


class ReuseSettings(Protocol):
    """What a namespace's policy says on reuse."""

    @property
    def reuse(self) -> ReusePolicy:
        """Thresholds and times."""

    @property
    def share(self) -> Share:
        """Who may receive an answer made for another."""

    @property
    def system_prompt_masks(self) -> Sequence[re.Pattern[str]]:
        """What is volatile in system prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTraits:
    """What the rules need to know of a text."""

    is_personal: bool
    is_time_bound: bool
    is_content_free: bool
    is_english: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """What may be done with stored and fresh answers of one request.

    Attributes:
        split: the key and the compared text.
        barrier: why nothing may be reused, stored or shared; None: it may.
        exact_only: why only an exact repeat may be served; None: near-duplicates too.
        is_personal: it is, or may be, personal: what is kept of it is kept for its user alone.
        ttl_s: seconds a fresh answer may be replayed.
        max_age_s: oldest stored answer that may be replayed; None: its TTL decides.
    """

    split: Split
    barrier: MissReason | None
    exact_only: MissReason | None
    is_personal: bool
    ttl_s: int
    max_age_s: float | None


def judge(request: ChatRequest, settings: ReuseSettings) -> Reuse:
    """Apply the rules to a request."""
    texts, is_all_read = _user_texts(request.messages)
    traits = [traits_of(text) for text in texts]
    is_foreign = any(not one.is_english and not one.is_content_free for one in traits)
    is_unread = is_foreign or not is_all_read
    own_only = is_unread or any(one.is_personal for one in traits)
    scope = Share.USER if own_only or settings.share is Share.USER else Share.NAMESPACE
    divided = split(request, scope=scope, masks=settings.system_prompt_masks)
    policy = settings.reuse
    freshness_s = policy.freshness_s if any(one.is_time_bound for one in traits) else None
    longest_s = _least(freshness_s, _UNREAD_TTL_S if is_unread else None)
    return Reuse(
        split=divided,
        barrier=_barrier(
            scope,
            request.attribution.user,
            freshness_s,
            nobodys=MissReason.LANGUAGE if is_foreign else MissReason.PERSONAL_WITHOUT_USER,
        ),
        exact_only=exact_only(divided.text, is_comparable=divided.is_comparable),
        is_personal=own_only,
        ttl_s=policy.ttl_s if longest_s is None else min(policy.ttl_s, int(longest_s)),
        max_age_s=_least(request.cache_control.max_age_s, longest_s),
    )


def _user_texts(messages: Sequence[Message]) -> tuple[list[str], bool]:
    """Return the last message's words and the user's latest before it, and whether that is all."""
    texts = [messages[-1].own_text]
    chars = 0
    for message in reversed(messages[:-1]):
        if message.role is not Role.USER:
            continue
        text = message.own_text
        chars += len(text)
        if len(texts) > _MAX_TURNS_READ or chars > _MAX_TURN_CHARS_READ:
            return texts, False
        texts.append(text)
    return texts, True


def traits_of(text: str) -> TextTraits:
    """Return the traits of a text; they are remembered."""
    return _remembered(text) if len(text) <= _SHORT_CHARS else _remembered_long(text)


def _traits(text: str) -> TextTraits:
    return TextTraits(
        is_personal=is_personal(text),
        is_time_bound=is_time_bound(text),
        is_content_free=is_content_free(text),
        is_english=is_english(text),
    )


_remembered = lru_cache(maxsize=4_096)(_traits)
_long: OrderedDict[bytes, TextTraits] = OrderedDict()


def _remembered_long(text: str) -> TextTraits:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
    traits = _long.pop(digest, None) or _traits(text)
    _long[digest] = traits
    if len(_long) > _MAX_LONG_TEXTS:
        _long.popitem(last=False)
    return traits


def forget_texts() -> None:
    """Forget the texts whose traits are remembered."""
    _remembered.cache_clear()
    _long.clear()


def _barrier(
    scope: Share, user: str, freshness_s: int | None, *, nobodys: MissReason
) -> MissReason | None:
    """Return why nothing may be kept; ``nobodys``: what to call a text without its user."""
    if scope is Share.USER and not user:
        return nobodys
    if freshness_s == 0:
        return MissReason.TIME_BOUND
    return None


def exact_only(text: str, *, is_comparable: bool = True) -> MissReason | None:
    """Return why a text may have no near-duplicates; None when it may."""
    if not is_comparable:
        return MissReason.NOT_COMPARABLE
    traits = traits_of(text)
    if traits.is_content_free:
        return MissReason.CONTENT_FREE
    if not traits.is_english:
        return MissReason.LANGUAGE
    return None


def _least(*bounds: float | None) -> float | None:
    given = [bound for bound in bounds if bound is not None]
    return min(given) if given else None
