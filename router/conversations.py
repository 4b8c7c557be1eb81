"""Which model a conversation is with, and what leaving it would throw away.

Providers keep the beginning of a prompt for some minutes and charge less for reading it again. A
conversation sends all of itself with every turn, so most of a turn's input is cheap at the model
that read the last one and full price at every other. What is reckoned: the tokens of the turn
before, as the provider counted them, in whole blocks of 128 and from 1,024 on, within 300 seconds
(OpenAI's terms; Anthropic's shortest life is the same); nothing once a provider was seen to read
none of them again. The expected cost at that model is lower by so much, and then the cheapest
adequate model is chosen as always: the conversation stays as long as the discount is worth more
than the switch.

In memory only; a restart forgets it, and the worst is one switch too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from router.ledger.types import LedgerLine
from router.types import Answer, Attribution, ChatRequest, Mode, Role, Usage

MOST_KEPT: Final = 20_000
_BLOCK_TOKENS: Final = 128
_LEAST_TOKENS: Final = 1_024
_LIFE_S: Final = 300.0
_LOOP_LIFE_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Held:
    """The model that a request would continue with.

    Attributes:
        model: its name in the settings.
        cached_tokens: of the request's input, as many as its provider still has.
        in_tool_loop: the request brings what a tool gave that this model called.
    """

    model: str
    cached_tokens: int = 0
    in_tool_loop: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """Attributes: ``is_read_again``: False once the provider read none of a turn again."""

    model: str
    at_s: float
    cached_tokens: int = 0
    is_read_again: bool = True


class Conversations:
    """The last turn of each conversation, and who called which tool; bounded.

    Args:
        now_s: seconds since the epoch.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._turns: OrderedDict[bytes, _Turn] = OrderedDict()
        self._callers: OrderedDict[bytes, _Turn] = OrderedDict()

    def of(self, request: ChatRequest) -> Held | None:
        """Return whom a request continues with; None where nothing is known or it is too old."""
        now_s = self._now_s()
        called = self._caller(request, now_s)
        turn = self._turns.get(_key(request.namespace, request.attribution))
        if turn is not None and now_s - turn.at_s > _LIFE_S:
            turn = None
        if called is not None:
            cached = turn.cached_tokens if turn is not None and turn.model == called else 0
            return Held(called, cached, in_tool_loop=True)
        return None if turn is None else Held(turn.model, turn.cached_tokens)

    def note(self, line: LedgerLine, answer: Answer) -> None:
        """Note which model just answered a turn; in modes off and shadow nothing was chosen.

        Args:
            line: of the request, closed.
            answer: it may ask for tools; their results go to the model that asked.
        """
        if line.mode is not Mode.ON or not line.model:
            return
        now_s = self._now_s()
        for call in answer.tool_calls:
            key = _call_key(line.namespace, line.attribution, call.id)
            _keep(self._callers, key, _Turn(line.model, now_s))
        if line.attribution.conversation:
            key = _key(line.namespace, line.attribution)
            turn = self._turn(self._turns.get(key), line.model, line.usage, now_s)
            _keep(self._turns, key, turn)

    @staticmethod
    def _turn(before: _Turn | None, model: str, usage: Usage | None, now_s: float) -> _Turn:
        if before is not None and (before.model != model or now_s - before.at_s > _LIFE_S):
            before = None
        is_read_again = before is None or before.is_read_again
        if usage is None:
            return _Turn(model, now_s, 0, is_read_again)
        if before is not None and before.cached_tokens and not usage.cache_read_tokens:
            is_read_again = False
        cached = usage.input_tokens // _BLOCK_TOKENS * _BLOCK_TOKENS
        if cached < _LEAST_TOKENS or not is_read_again:
            cached = 0
        return _Turn(model, now_s, cached, is_read_again)

    def _caller(self, request: ChatRequest, now_s: float) -> str | None:
        """Return the model that called the tool whose result the request ends with."""
        last = request.messages[-1] if request.messages else None
        if last is None or last.role is not Role.TOOL or not last.tool_call_id:
            return None
        key = _call_key(request.namespace, request.attribution, last.tool_call_id)
        found = self._callers.get(key)
        return found.model if found is not None and now_s - found.at_s <= _LOOP_LIFE_S else None


def _key(namespace: str, who: Attribution) -> bytes:
    return _digest(namespace, who.user, who.conversation) if who.conversation else b""


def _call_key(namespace: str, who: Attribution, tool_call_id: str) -> bytes:
    """Some providers count calls from 0 in every answer: an id alone names no call."""
    return _digest(namespace, who.user, who.conversation, tool_call_id)


def _digest(*parts: str) -> bytes:
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def _keep(kept: OrderedDict[bytes, _Turn], key: bytes, turn: _Turn) -> None:
    kept.pop(key, None)
    kept[key] = turn
    if len(kept) > MOST_KEPT:
        kept.popitem(last=False)
