"""From evidence to an operating point, a namespace's own. Pure.

What is bounded is the error *per served near-duplicate*: of the pairs at or above a threshold on
P(right), at most the target is wrong, whatever P(right) is worth here. Two claims are tested with
exact binomial tails (Learn-then-Test), each along a fixed sequence of ever looser thresholds that
ends at the first that is not rejected:

1. nothing barred, from the shipped threshold downwards, on all evidence: fixed in advance;
2. the traits barred and the starting threshold chosen by one half of the evidence, tested on the
   other half, which had no part in the choice.

Up to twice ``labels_needed`` the second is not tried and the first has the whole error budget;
beyond that each has half. The switch looks at how many labels there are, never at what they say,
so that at any one moment a namespace is certified wrongly with probability 1 - confidence at most.
That is said of one moment and of traffic like the window's; it is no promise over all moments.

Evidence is a fair sample of traffic: audits as they are (they are drawn with a propensity that
does not look at the pair), and of the near-misses, all of which may be compared, as large a share
as of the hits. What people report is self-selected: it can bar a narrow trait, nothing else.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from cache.binomial import at_least, at_most, lower_bound, p_of_same_share
from cache.types import EXACT_ONLY, OperatingPoint

CONFIDENCE = 0.95
GRID = tuple(1 - 0.5 * 10 ** (-step / 10) for step in range(61))
"""The thresholds that are tried, loosest first: 0.5 to 1 - 5e-7."""

_MIN_WRONG = 3  # fewer wrong ones move nothing: the first wrong audit of many is no evidence
_TWINS_SHARE = 0.1  # of the error budget, for not knowing the comparator's false alarms exactly
_MAX_BARRED = 100
_N_DRAWS = 4_000
_DRIFT_P = 0.001
_DRIFT_LEAST = 100


class Source(StrEnum):
    """How it became known whether a stored answer was right."""

    AUDIT = "audit"  # a hit, drawn at random
    SHADOW = "shadow"  # a near-miss, compared with the answer that came anyway
    FEEDBACK = "feedback"  # somebody's word


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One near-duplicate of which it became known whether the stored answer was right.

    Attributes:
        p_right: what the decision compared with the operating point, in [0, 1]; see
            ``cache.policy.certainty``.
        is_right: the two answers were found to say the same.
        weight: how many such cases it stands for, 1 / propensity; at least 0.
        traits: how the two texts differ (``cache.traits``).
        source: how it became known.
        at_s: seconds since the epoch.
        line_id: the request it was learned from; empty: unknown.
        entry_id: whose answer it is about; 0: unknown.
        texts_at_s: when the older of the two texts came; 0: at ``at_s``.
    """

    p_right: float
    is_right: bool
    weight: float = 1.0
    traits: tuple[str, ...] = ()
    source: Source = Source.AUDIT
    at_s: float = 0.0
    line_id: str = field(default="", compare=False)
    entry_id: int = field(default=0, compare=False)
    texts_at_s: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: a value is outside its range.
        """
        if not 0.0 <= self.p_right <= 1.0:
            raise ValueError(f"p_right is in [0, 1], got {self.p_right}")
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            raise ValueError(f"weight is a number >= 0, got {self.weight}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Calls that asked one model twice for one prompt, and how often it looked like two answers.

    Attributes:
        n: pairs of calls.
        n_different: those of which the comparator said "different": its false alarms.
    """

    n: int = 0
    n_different: int = 0

    @property
    def rate(self) -> float:
        """The share of false alarms; 0 where it was not measured."""
        return self.n_different / self.n if self.n else 0.0


NO_TWINS = Twins()


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A share with its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
        n: how many were judged.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlarm:
    """The share of right ones among the judged has changed beyond chance.

    Attributes:
        before: the share as it was.
        recent: the share as it is.
        p_value: of Fisher's test.
    """

    before: float
    recent: float
    p_value: float


def labels_needed(target: float, confidence: float = CONFIDENCE) -> int:
    """Return how many labels without a single wrong one certify a target: 149 for 2 %, 299 for 1 %.

    Args:
        target: accepted error rate, above 0.
        confidence: of the claim.
    """
    return 1 if target >= 1 else math.ceil(math.log(1 - confidence) / math.log1p(-target))


def labels_missing(
    observations: Iterable[Observation],
    *,
    target: float,
    prior_min_p_right: float,
    confidence: float = CONFIDENCE,
    twins: Twins = NO_TWINS,
) -> int:
    """Return how many more labels, all of them right, would certify the shipped threshold."""
    n_wrong, n = _Evidence(fair_sample(observations)).at(prior_min_p_right)
    alpha, budget = _tested(target, confidence, twins)
    n_both = 2 * labels_needed(target, confidence)
    wanted = max(n, _least_n(n_wrong, alpha, budget))
    if wanted >= n_both:
        wanted = max(n, n_both, _least_n(n_wrong, alpha, budget / 2))
    return wanted - n


def operating_point(
    observations: Iterable[Observation],
    *,
    target: float,
    prior_min_p_right: float | None,
    confidence: float = CONFIDENCE,
    twins: Twins = NO_TWINS,
    loosest: float = GRID[0],
) -> OperatingPoint:
    """Return from which P(right) on near-duplicates may be served, and which traits are barred.

    The shipped threshold, made stricter as far as the evidence speaks against it. Where a claim of
    the module's docstring is certified for that threshold or a looser one, the claim's: looser than
    the shipped one where near-misses turned out right.

    Args:
        observations: the namespace's window, in any order.
        target: accepted share of wrong ones among the served near-duplicates.
        prior_min_p_right: what the shipped calibration says for the target; None: nothing.
        confidence: of the claim.
        twins: what is known of the comparator's false alarms; a rate f of them turns an error
            rate e into an observed e + f (1 - e), which is what is tested.
        loosest: no threshold below this is certified.
    """
    if prior_min_p_right is None or target <= 0:
        return EXACT_ONLY
    judged = list(observations)
    observed_target = _observed(target, twins.rate)
    unclaimed = _not_spoken_against(judged, observed_target, prior_min_p_right, confidence)
    found = _certified(judged, target, prior_min_p_right, confidence, twins, loosest)
    if found is None or found.threshold > (unclaimed.min_p_right or 1.0):
        # A claim on a stricter threshold alone is no reason to be stricter: else whoever lost it by
        # one more wrong answer would serve more than before.
        return unclaimed
    barred = barred_traits(
        (o for o in judged if o.p_right >= found.threshold), target=observed_target
    )
    # What is barred beyond the claim errs more than the target: without it the rest errs less.
    return OperatingPoint(
        min_p_right=found.threshold, is_certified=True, barred=barred | found.barred
    )


def _not_spoken_against(
    judged: Sequence[Observation], target: float, prior_min_p_right: float, confidence: float
) -> OperatingPoint:
    """Return the loosest point, from the shipped one on, that the evidence does not contradict."""
    barred = barred_traits((o for o in judged if o.p_right >= prior_min_p_right), target=target)
    evidence = _Evidence(_unbarred(fair_sample(judged), barred))
    for threshold in (prior_min_p_right, *(t for t in GRID if t > prior_min_p_right)):
        if not evidence.speaks_against(threshold, target, confidence):
            return OperatingPoint(min_p_right=threshold, barred=barred)
    return OperatingPoint(min_p_right=None, barred=barred)


def barred_traits(observations: Iterable[Observation], *, target: float) -> frozenset[str]:
    """Return the traits whose pairs err more often than the target, the narrowest that explain it.

    What a barred trait explains is left out before the next is judged, narrow ones first. A trait
    is barred for at least three wrong ones, a broad one for more and only by what was drawn at
    random; and the wrong ones behind a ``slot:`` must differ in two ways at least, those of a
    ``kind:`` in three, or a narrower trait is to blame. Once barred, its pairs are near-misses:
    where these turn out right, the trait is free again.
    """
    rest = list(observations)
    barred: set[str] = set()
    for rule in _RULES:
        while len(barred) < _MAX_BARRED and (trait := rule.worst(rest, target)) is not None:
            barred.add(trait)
            rest = _unbarred(rest, {trait})
    return frozenset(barred)


def live_error_rate(
    observations: Iterable[Observation], twins: Twins = NO_TWINS, *, seed: int = 0
) -> Estimate | None:
    """Return the share of wrong ones among the hits that were served; None without audits.

    From audits alone, each weighted by 1 / propensity, less the comparator's false alarms: of a
    observed and f among twins, e = (a - f) / (1 - f). The interval draws a and f from the
    Clopper-Pearson confidence distributions, each end from those that are cautious for it, so that
    without twins the lower end is 0: every alarm may be a false one.

    Args:
        observations: the namespace's window; only audits are looked at.
        twins: the comparator's false alarms.
        seed: of the draws.
    """
    audits = [o for o in observations if o.source is Source.AUDIT and o.weight > 0]
    if not audits:
        return None
    weights = np.array([o.weight for o in audits])
    is_wrong = np.array([not o.is_right for o in audits])
    n = float(weights.sum() ** 2 / (weights**2).sum())  # Kish's effective number
    seen = float(weights[is_wrong].sum() / weights.sum())
    rng = np.random.default_rng(seed)
    k, f_k, f_n = seen * n, twins.n_different, twins.n
    low = _without_false_alarms(_beta(rng, k, n - k + 1), _beta(rng, f_k + 1, f_n - f_k))
    high = _without_false_alarms(_beta(rng, k + 1, n - k), _beta(rng, f_k, f_n - f_k + 1))
    value = float(_without_false_alarms(np.array(seen), np.array(twins.rate)))
    return Estimate(
        value=value,
        low=min(value, float(np.quantile(low, 0.025))),
        high=max(value, float(np.quantile(high, 0.975))),
        n=len(audits),
    )


def positives_drift(
    recent: Sequence[Observation], before: Sequence[Observation]
) -> DriftAlarm | None:
    """Return an alarm where the shares of right ones differ (p < 0.001), with 100 or more each."""
    n, other_n = len(recent), len(before)
    if min(n, other_n) < _DRIFT_LEAST:
        return None
    k, other_k = (sum(o.is_right for o in side) for side in (recent, before))
    p_value = p_of_same_share(k, n, other_k, other_n)
    if p_value >= _DRIFT_P:
        return None
    return DriftAlarm(before=other_k / other_n, recent=k / n, p_value=p_value)


def fair_sample(observations: Iterable[Observation]) -> list[Observation]:
    """Return evidence in which hits and near-misses are as frequent as in traffic.

    Audits, and near-misses thinned to the audits' mean propensity, by a coin that each carries in
    itself. Empty without audits: of what is served, nothing would be known.
    """
    judged = [o for o in observations if o.source is not Source.FEEDBACK and o.weight > 0]
    weights = [o.weight for o in judged if o.source is Source.AUDIT]
    if not weights:
        return []
    mean = sum(weights) / len(weights)
    return [o for o in judged if o.source is Source.AUDIT or _coin(o, b"keep") * mean < o.weight]


def halves(observations: Iterable[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Return evidence that may choose and evidence that tests; none ever changes sides."""
    sides: tuple[list[Observation], list[Observation]] = ([], [])
    for observation in observations:
        sides[_coin(observation, b"half") >= 0.5].append(observation)
    return sides


@dataclass(frozen=True, slots=True)
class _Claim:
    threshold: float
    barred: frozenset[str] = frozenset()


class _Evidence:
    """Counts of right and wrong at or above any threshold."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        order = sorted(observations, key=lambda o: -o.p_right)
        self._below = np.array([-o.p_right for o in order])
        self._wrong = np.concatenate(([0], np.cumsum([not o.is_right for o in order], dtype=int)))

    def at(self, threshold: float) -> tuple[int, int]:
        """Return how many are wrong, of how many at or above the threshold."""
        n = int(np.searchsorted(self._below, -threshold, side="right"))
        return int(self._wrong[n]), n

    def speaks_against(self, threshold: float, target: float, confidence: float) -> bool:
        """Tell whether the error rate is above the target beyond chance."""
        n_wrong, n = self.at(threshold)
        return n_wrong >= _MIN_WRONG and at_least(n_wrong, n, target) < 1 - confidence

    def certify(self, thresholds: Iterable[float], target: float, budget: float) -> float | None:
        """Return the last threshold before the first that cannot be certified.

        Looser ones than the first only as far down as something was judged there: where nothing
        was, near-misses may come that nobody has looked at.
        """
        found, n_found = None, 0
        for threshold in thresholds:
            n_wrong, n = self.at(threshold)
            if n == 0 or at_most(n_wrong, n, target) > budget:
                break
            if n > n_found:
                found, n_found = threshold, n
        return found


def _certified(
    judged: Sequence[Observation],
    target: float,
    prior: float,
    confidence: float,
    twins: Twins,
    loosest: float,
) -> _Claim | None:
    """Test both claims; return the looser one that holds."""
    sample = fair_sample(judged)
    everything = _Evidence(sample)
    alpha, budget = _tested(target, confidence, twins)
    looser = [t for t in reversed(GRID) if loosest <= t < prior]
    if everything.at(prior)[1] < 2 * labels_needed(target, confidence):
        threshold = everything.certify((prior, *looser), alpha, budget)
        return None if threshold is None else _Claim(threshold)
    claims = []
    threshold = everything.certify((prior, *looser), alpha, budget / 2)
    if threshold is not None:
        claims.append(_Claim(threshold))
    choosing, testing = halves(sample)
    reports = [o for o in judged if o.source is Source.FEEDBACK]
    barred = barred_traits(
        (o for o in (*choosing, *reports) if o.p_right >= prior),
        target=_observed(target, twins.rate),
    )
    start = _start(_Evidence(_unbarred(choosing, barred)), prior, alpha)
    if start is not None:
        both = _Evidence(_unbarred(sample, barred))
        sequence = takewhile(
            lambda t: not both.speaks_against(t, alpha, confidence),
            (t for t in sorted({*GRID, prior}, reverse=True) if loosest <= t <= start),
        )
        tested = _Evidence(_unbarred(testing, barred))
        threshold = tested.certify(sequence, alpha, budget / 2)
        if threshold is not None:
            claims.append(_Claim(threshold, barred))
    return min(claims, key=lambda claim: (claim.threshold, len(claim.barred)), default=None)


def _start(chosen_by: _Evidence, prior: float, target: float) -> float | None:
    """Return the loosest threshold, no looser than shipped, that half the target would suit."""
    for threshold in (prior, *(t for t in GRID if t > prior)):
        n_wrong, n = chosen_by.at(threshold)
        if n_wrong <= target / 2 * n:
            return threshold
    return None


def _tested(target: float, confidence: float, twins: Twins) -> tuple[float, float]:
    """Return the share of "different" to test for, and the error budget of that test."""
    budget = 1 - confidence
    if twins.n == 0:
        return target, budget
    false_alarms = lower_bound(twins.n_different, twins.n, 1 - _TWINS_SHARE * budget)
    return _observed(target, false_alarms), (1 - _TWINS_SHARE) * budget


def _observed(error_rate: float, false_alarms: float) -> float:
    return false_alarms + error_rate * (1 - false_alarms)


def _least_n(n_wrong: int, target: float, budget: float) -> int:
    """Return the least n of which ``n_wrong`` wrong ones certify the target."""
    low, high = n_wrong, n_wrong + 1
    while at_most(n_wrong, high, target) > budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at_most(n_wrong, middle, target) > budget else (low, middle)
    return high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """When traits of some breadth are barred.

    Attributes:
        prefixes: of the traits it speaks of.
        min_wrong: so many wrong ones at least.
        confidence: that the error rate is above the target.
        narrower: prefix of the traits of which the wrong ones must show several.
        min_narrower: how many.
        hears_reports: whether what people report counts.
    """

    prefixes: tuple[str, ...]
    min_wrong: int = _MIN_WRONG
    confidence: float = 0.9
    narrower: str = ""
    min_narrower: int = 0
    hears_reports: bool = False

    def worst(self, observations: Sequence[Observation], target: float) -> str | None:
        """Return the trait that is surest to err too often, None where none is."""
        found = (
            (at_least(seen.n_wrong, seen.n, target), trait)
            for trait, seen in self._tallies(observations).items()
            if seen.n_wrong >= self.min_wrong and len(seen.narrower) >= self.min_narrower
        )
        p_value, trait = min(found, default=(1.0, ""))
        return trait if p_value <= 1 - self.confidence else None

    def _tallies(self, observations: Sequence[Observation]) -> dict[str, _Tally]:
        tallies: dict[str, _Tally] = {}
        for observation in observations:
            if observation.source is Source.FEEDBACK and not self.hears_reports:
                continue
            for trait in observation.traits:
                if trait.startswith(self.prefixes):
                    tallies.setdefault(trait, _Tally()).add(observation, self.narrower)
        return tallies


class _Tally:
    """What was seen of a trait."""

    __slots__ = ("n", "n_wrong", "narrower")

    def __init__(self) -> None:
        self.n = self.n_wrong = 0
        self.narrower: set[tuple[str, ...]] = set()

    def add(self, observation: Observation, narrower: str) -> None:
        """Count an observation."""
        self.n += 1
        if not observation.is_right:
            self.n_wrong += 1
            self.narrower.add(tuple(t for t in observation.traits if t.startswith(narrower)))


_RULES = (
    _Rule(prefixes=("slot:",), narrower="words:", min_narrower=2, hears_reports=True),
    _Rule(prefixes=("words:",), hears_reports=True),
    _Rule(prefixes=("kind:",), min_wrong=5, confidence=0.99, narrower="slot:", min_narrower=3),
    _Rule(prefixes=("extra:", "order"), min_wrong=5, confidence=0.99),
    _Rule(prefixes=("form", "far"), min_wrong=8, confidence=0.999),
)


def _unbarred(
    observations: Iterable[Observation], barred: frozenset[str] | set[str]
) -> list[Observation]:
    return [o for o in observations if barred.isdisjoint(o.traits)]


def _coin(observation: Observation, purpose: bytes) -> float:
    """Return a number in [0, 1) made of when and how sure, never of whether it was right."""
    raw = struct.pack("<dd", observation.at_s, observation.p_right)
    return zlib.crc32(purpose + raw) / 2**32


def _without_false_alarms(
    different: NDArray[np.float64], false_alarms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the error rates behind shares of "different"; 0 where all may be false alarms."""
    room = np.maximum(1 - false_alarms, 1e-12)
    return np.clip((different - false_alarms) / room, 0.0, 1.0)


def _beta(rng: np.random.Generator, a: float, b: float) -> NDArray[np.float64]:
    """Draw from Beta(a, b), which without successes is all at 0 and without failures all at 1."""
    if a <= 0 or b <= 0:
        return np.full(_N_DRAWS, 0.0 if a <= 0 else 1.0)
    return rng.beta(a, b, _N_DRAWS)
