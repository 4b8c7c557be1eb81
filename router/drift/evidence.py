"""Does traffic go where calibration said it would, and do the answers hold? Pure.

``scrimp calibrate`` says which share of its labelled prompts went to each model, and how many of
its answers were adequate. A *claim* is one side of such a figure: "of the requests at most 61 % go
to small". Its bound is the end of an exact interval (Clopper-Pearson), or ``TOLERANCE`` from the
figure where that is further away: less is no news.

Traffic is looked at again and again, so a test made for one look would find something sooner or
later. Against each claim runs an e-process: a bet that pays 1 on average, however long it runs,
as long as the claim holds; so it ever reaches 40 with a probability of 1/40 at most (Ville's
inequality; Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023). The
bets are on a few shares beyond the bound. Their mean over all claims is again such a process, and
so is the mean over several that begin one after the other, which a change after long quiet needs:
one that began long ago has lost too much by then.

Altogether: in a namespace whose traffic is like the calibration prompts, each drawn by itself, an
alarm is ever raised with a probability of at most ``FALSE_ALARM``, half of which goes to the
intervals and half to the processes. Prompts that hang together (one user's burst) can break that.

**Adequacy.** Callers mostly report what was bad, so the share of bad ones among their words says
nothing. But what was reported, or set aside by an escalation, out of *all* requests that went to a
model is at most what was inadequate: silence counts as adequate. So one side can be tested without
any assumption on who speaks, and a model is never called worse than it is for callers' silence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cache.binomial import lower_bound, upper_bound

FALSE_ALARM: Final = 0.05
TOLERANCE: Final = 0.05
"""Of a share: a difference of so much is no news, however surely it is there."""

_HALF: Final = FALSE_ALARM / 2
ALARM_LOG_E: Final = math.log(1 / _HALF)
_STEPS: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # of log-odds beyond a bound: what is bet on
_BEGIN_EVERY: Final = 500  # requests
_MOST_STARTS: Final = 24
_NEWEST: Final = 4  # starts that are kept, whatever they say yet


@dataclass(frozen=True, slots=True)
class Claim:
    """One side of a calibrated figure.

    Attributes:
        model: whose.
        is_of_answers: the share of its answers that fall short; else its share of the requests.
        is_upper: the share is at most ``bound``; else at least.
        bound: in (0, 1).
        said: the calibrated figure itself.
    """

    model: str
    is_of_answers: bool
    is_upper: bool
    bound: float
    said: float

    def log_e(self, k: int, n: int) -> float:
        """Return the logarithm of what the bets against the claim came to, k of n seen."""
        odds = math.log(self.bound / (1 - self.bound))
        sign = 1 if self.is_upper else -1
        bets = []
        for step in _STEPS:
            p = 1 / (1 + math.exp(-(odds + sign * step)))
            p = min(max(p, 1e-12), 1 - 1e-12)
            bets.append(
                k * math.log(p / self.bound) + (n - k) * math.log((1 - p) / (1 - self.bound))
            )
        return _log_mean(bets)


def claims_of(
    n: int, chosen: Sequence[tuple[str, int]], adequate: Sequence[tuple[str, float]]
) -> tuple[Claim, ...]:
    """Return what calibration claims.

    Args:
        n: labelled prompts.
        chosen: model and how many of them went to it.
        adequate: model and what its answers to those were worth, in prompts.
    """
    worth = dict(adequate)
    confidence = 1 - _HALF / (3 * max(len(chosen), 1))
    found = []
    for model, k in chosen:
        k = min(k, n)
        share = k / n
        high = max(upper_bound(k, n, confidence), share + TOLERANCE)
        low = min(lower_bound(k, n, confidence), share - TOLERANCE)
        found.append(Claim(model, False, True, high, share))
        found.append(Claim(model, False, False, low, share))
        if k and model in worth:
            good = min(worth[model], k)
            n_short, said = math.ceil(k - good - 1e-9), 1 - good / k
            most = max(upper_bound(n_short, k, confidence), said + TOLERANCE)
            found.append(Claim(model, True, True, most, said))
    return tuple(claim for claim in found if 0 < claim.bound < 1)


@dataclass(slots=True)
class Counts:
    """Requests so far.

    Attributes:
        n: all.
        chosen: model to those that went to it.
        short: model to those of them whose answer fell short.
    """

    n: int = 0
    chosen: Counter[str] = field(default_factory=Counter)
    short: Counter[str] = field(default_factory=Counter)

    def as_object(self) -> dict[str, Any]:
        """Return them for JSON."""
        return {"n": self.n, "chosen": dict(self.chosen), "short": dict(self.short)}

    def copy(self) -> Counts:
        """Return the same counts, to count on apart."""
        return Counts(self.n, Counter(self.chosen), Counter(self.short))


@dataclass(slots=True)
class _Start:
    """A process that begins here: ``number`` from 1 on, ``before``: what was counted by then."""

    number: int
    at_ms: int
    before: Counts


class Evidence:
    """What a namespace's traffic says against its claims.

    Args:
        claims: see ``claims_of``.
        at_ms: now, milliseconds since the epoch.
    """

    def __init__(self, claims: Sequence[Claim], at_ms: int) -> None:
        self.claims = tuple(claims)
        self.counts = Counts()
        self._starts = [_Start(1, at_ms, Counts())]
        self._n_begun = 1

    def routed(self, model: str, at_ms: int, *, is_short: bool = False) -> None:
        """Count a request that went to a model; short: its answer was set aside."""
        counts = self.counts
        if counts.n and counts.n % _BEGIN_EVERY == 0:
            self._begin(at_ms)
        counts.n += 1
        counts.chosen[model] += 1
        counts.short[model] += is_short

    def fell_short(self, model: str, at_ms: int) -> None:
        """Count that an answer to a request of that moment was reported not adequate."""
        if self.counts.short[model] >= self.counts.chosen[model]:
            return  # of a request that was not counted
        self.counts.short[model] += 1
        for start in self._starts:
            if start.at_ms > at_ms:  # it was asked before this process began
                start.before.short[model] += 1

    def log_e(self) -> float:
        """Return the logarithm of the evidence: an alarm from ``ALARM_LOG_E`` on."""
        waiting = -math.log(self._n_begun + 1)  # those that are yet to begin are worth 1 each
        return _log_sum([waiting, *(self._worth(start) for start in self._starts)])

    def strongest(self) -> Claim | None:
        """Return the claim that speaks loudest against, None without claims."""
        found = [
            (claim.log_e(*self._seen(claim, start)) - _cost(start), n, claim)
            for start in self._starts
            for n, claim in enumerate(self.claims)
        ]
        return max(found)[2] if found else None

    def as_object(self) -> dict[str, Any]:
        """Return all of it but the claims, for JSON."""
        return {
            "counts": self.counts.as_object(),
            "starts": [
                {"number": one.number, "at_ms": one.at_ms, "before": one.before.as_object()}
                for one in self._starts
            ],
            "n_begun": self._n_begun,
        }

    @classmethod
    def of_object(cls, claims: Sequence[Claim], values: Mapping[str, Any]) -> Evidence:
        """Return what ``as_object`` was made of.

        Raises:
            KeyError, TypeError, ValueError: it was made of something else.
        """
        found = cls(claims, 0)
        found.counts = _counts(values["counts"])
        found._starts = [
            _Start(int(one["number"]), int(one["at_ms"]), _counts(one["before"]))
            for one in values["starts"]
        ]
        found._n_begun = int(values["n_begun"])
        return found

    def _begin(self, at_ms: int) -> None:
        self._n_begun += 1
        self._starts.append(_Start(self._n_begun, at_ms, self.counts.copy()))
        if len(self._starts) > _MOST_STARTS:  # less evidence than there is raises no false alarm
            self._starts.remove(min(self._starts[:-_NEWEST], key=self._worth))

    def _worth(self, start: _Start) -> float:
        if not self.claims:
            return -_cost(start)
        each = [claim.log_e(*self._seen(claim, start)) for claim in self.claims]
        return _log_mean(each) - _cost(start)

    def _seen(self, claim: Claim, start: _Start) -> tuple[int, int]:
        now, before, model = self.counts, start.before, claim.model
        n_chosen = now.chosen[model] - before.chosen[model]
        if claim.is_of_answers:
            return min(now.short[model] - before.short[model], n_chosen), n_chosen
        return n_chosen, now.n - before.n


def _cost(start: _Start) -> float:
    """Return the logarithm of 1 / its weight; the weights of all that ever begin sum to 1."""
    return math.log(start.number * (start.number + 1))


def _counts(values: Mapping[str, Any]) -> Counts:
    return Counts(int(values["n"]), Counter(values["chosen"]), Counter(values["short"]))


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))


def _log_mean(values: Sequence[float]) -> float:
    return _log_sum(values) - math.log(len(values))
