"""Every metric of the service, named once. All labels come from bounded sets.

Money is counted as cost and baseline, two counters that only grow; what was saved is their
difference, which may fall. Both are integer nano-dollars until a scrape asks for dollars. A user
is never a label; a namespace is one of the first ``MAX_LABELS`` seen, or ``(other)``.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from classifier.local import Level
from router.ledger.types import (
    AssuranceReport,
    AssuranceState,
    DriftReport,
    LedgerLine,
    LineState,
    Outcome,
)
from router.types import NANOS_PER_USD

MAX_LABELS = 200
OTHER = "(other)"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STAGE_BUCKETS_S = (
    *(0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),  # the service's own stages
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),  # providers
)

_GUARD = "guard_"
_HITS = (Outcome.EXACT, Outcome.NEAR)
_OPEN = 2.0
_CIRCUIT_LEVELS = {"closed": 0.0, "half_open": 1.0, "open": _OPEN}


class Watched(StrEnum):
    """What is read at every scrape; the parts say how, with ``Metrics.watch``."""

    IN_FLIGHT = "scrimp_requests_in_flight"
    CACHE_ENTRIES = "scrimp_cache_entries"
    CACHE_BYTES = "scrimp_cache_bytes"
    LEDGER_QUEUE = "scrimp_ledger_queue"
    CACHE_QUEUE = "scrimp_cache_queue"
    CHECKS_QUEUE = "scrimp_checks_queue"


_WATCHED_HELP = {
    Watched.IN_FLIGHT: "Requests being answered now.",
    Watched.CACHE_ENTRIES: "Stored answers.",
    Watched.CACHE_BYTES: "Texts and answers of all entries, as counted against the bound.",
    Watched.LEDGER_QUEUE: "Ledger lines waiting for the disk.",
    Watched.CACHE_QUEUE: "Cache writes waiting for the disk.",
    Watched.CHECKS_QUEUE: "Audits and comparisons waiting.",
}


class Tally:
    """A counter with labels; safe from any thread.

    Args:
        name: without the ``_total`` that the exposition adds.
        help_text: one sentence.
        labels: their names, in the order in which ``add`` takes values.
        per_unit: how many of what is added make one of what is shown.
        may_fall: shown as a gauge.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        *labels: str,
        per_unit: int = 1,
        may_fall: bool = False,
    ) -> None:
        self.name = name
        self._help = help_text
        self._labels = labels
        self._per_unit = per_unit
        self._may_fall = may_fall
        self._sums: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, labels: tuple[str, ...], amount: int = 1) -> None:
        """Add to the sum under these label values."""
        with self._lock:
            self._sums[labels] = self._sums.get(labels, 0) + amount

    def family(self) -> Metric:
        """Return what a scrape shows."""
        make = GaugeMetricFamily if self._may_fall else CounterMetricFamily
        family = make(self.name, self._help, labels=self._labels)
        with self._lock:
            sums = list(self._sums.items())
        for labels, amount in sums:
            family.add_metric(labels, amount / self._per_unit)
        return family


class Levels:
    """A gauge with labels, of which each value is set; safe from any thread."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        self._name = name
        self._help = help_text
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}

    def set(self, labels: tuple[str, ...], value: float | None) -> None:
        """Set the value under these label values; None: it is not known any more."""
        if value is None:
            self._values.pop(labels, None)
        else:
            self._values[labels] = value

    def labels(self) -> list[tuple[str, ...]]:
        """Return the label values of which there is a value."""
        return list(self._values)

    def family(self) -> Metric:
        """Return what a scrape shows."""
        family = GaugeMetricFamily(self._name, self._help, labels=self._labels)
        for labels, value in self._values.copy().items():
            family.add_metric(labels, value)
        return family


class Durations:
    """A histogram of seconds per label value; added to by one thread, shown by any."""

    def __init__(self, name: str, help_text: str, label: str, buckets_s: tuple[float, ...]) -> None:
        self._name = name
        self._help = help_text
        self._label = label
        self._bounds = (*buckets_s, math.inf)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, label: str, seconds: float) -> None:
        """Count one duration."""
        counts = self._counts.get(label)
        if counts is None:
            self._sums[label] = 0.0
            counts = self._counts[label] = [0] * len(self._bounds)
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[label] += seconds

    def family(self) -> Metric:
        """Return what a scrape shows."""
        family = HistogramMetricFamily(self._name, self._help, labels=[self._label])
        for label, counts in list(self._counts.items()):
            buckets, below = [], 0
            for bound, count in zip(self._bounds, list(counts), strict=True):
                below += count
                buckets.append(("+Inf" if bound == math.inf else str(bound), float(below)))
            family.add_metric([label], buckets, self._sums[label])
        return family


class Bounded:
    """Lets the first ``MAX_LABELS`` names pass and calls all later ones ``(other)``."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, name: str) -> str:
        """Return the label for a name."""
        if name in self._seen:
            return name
        if len(self._seen) >= MAX_LABELS:
            return OTHER
        self._seen.add(name)
        return name


class Metrics(Collector):
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._namespace, self._model, self._status = Bounded(), Bounded(), Bounded()
        self._provider, self._field = Bounded(), Bounded()
        self._watched: dict[Watched, Callable[[], float]] = {}
        self._requests = Tally(
            "scrimp_requests", "Requests by how they ended.", "namespace", "outcome"
        )
        self._misses = Tally(
            "scrimp_misses", "Misses by why no stored answer was served.", "namespace", "reason"
        )
        self._failures = Tally(
            "scrimp_failures", "Requests without an answer, by gRPC status.", "namespace", "status"
        )
        self._cost = Tally(
            "scrimp_cost_usd",
            "What priced requests cost, in US dollars.",
            *("namespace", "cause"),
            per_unit=NANOS_PER_USD,
        )
        self._baseline = Tally(
            "scrimp_baseline_usd",
            "What priced requests would have cost on the baseline model without cache, in US "
            "dollars, the same tokens assumed; less the cost, it is what was saved.",
            *("namespace", "cause"),
            per_unit=NANOS_PER_USD,
        )
        self._unpriced = Tally(
            "scrimp_unpriced_requests", "Requests whose price is unknown.", "namespace"
        )
        self._usage_unknown = Tally(
            "scrimp_usage_unknown_requests", "Requests whose usage nobody told.", "namespace"
        )
        self._shadow_hits = Tally(
            "scrimp_shadow_hits", "Hits that shadow mode would have served.", "namespace"
        )
        self._shadow_saved = Tally(
            "scrimp_shadow_saved_usd",
            "What shadow mode would have saved since the start, in US dollars; it may fall.",
            "namespace",
            per_unit=NANOS_PER_USD,
            may_fall=True,
        )
        self._attempts = Tally(
            "scrimp_attempts", "Upstream calls by how they ended.", "model", "provider", "status"
        )
        self._tokens = Tally(
            "scrimp_tokens", "Tokens that providers counted; hits add none.", "model", "type"
        )
        self._guard_stops = Tally(
            "scrimp_guard_stops", "Near-duplicates that a guard stopped.", "guard"
        )
        self._stages = Durations(
            "scrimp_stage_seconds", "Time per stage of a request.", "stage", STAGE_BUCKETS_S
        )
        self._degraded = Tally(
            "scrimp_degraded", "Times a part failed and the service went on without it.", "part"
        )
        self._churn = Tally(
            "scrimp_partition_churn",
            "Misses that would have been exact hits, had this part of the request not changed.",
            *("namespace", "field"),
        )
        self._feedback = Tally("scrimp_feedback", "What callers said of answers.", "kind")
        self._expired = Tally("scrimp_expired_tickets", "Tickets nobody brought back.")
        self._removed = Tally(
            "scrimp_removed_entries", "Stored answers that were removed, by why.", "cause"
        )
        self._error_rate = Levels(
            "scrimp_near_error_rate",
            "Share of wrong ones among the near-duplicates served, by audits, with the ends of its "
            "95 % interval; absent while it is not measured.",
            *("namespace", "bound"),
        )
        self._min_p_right = Levels(
            "scrimp_near_min_p_right",
            "From which P(right) on near-duplicates are served; absent where none are.",
            "namespace",
        )
        self._certified = Levels(
            "scrimp_near_certified",
            "1 where the namespace's own evidence bounds its error rate by the target.",
            "namespace",
        )
        self._drift_alarms = Tally(
            "scrimp_drift_alarms",
            "Times the share of right near-duplicates changed beyond chance.",
            "namespace",
        )
        self._route_share = Levels(
            "scrimp_route_share",
            "Share of a calibrated namespace's requests that go to a model, now and as calibrated.",
            *("namespace", "model", "which"),
        )
        self._route_evidence = Levels(
            "scrimp_route_drift_log_evidence",
            "Evidence against a namespace's calibration, its natural logarithm; 3.69 is an alarm.",
            "namespace",
        )
        self._adequacy = Levels(
            "scrimp_route_p_adequate",
            "Mean P(adequate) of a model on a namespace's own labelled traffic, with the ends of "
            "its 95 % interval; absent until there are labels enough.",
            *("namespace", "model", "bound"),
        )
        self._route_alarms = Tally(
            "scrimp_route_drift_alarms",
            "Times a namespace's routing left its calibration beyond chance.",
            "namespace",
        )
        self._checks = Tally(
            "scrimp_checks",
            "Answers compared to check hits (audit), near misses (shadow) and comparing itself "
            "(twin: two answers to one prompt), by what it came to.",
            *("namespace", "kind", "verdict"),
        )
        self._unchecked = Tally(
            "scrimp_unchecked", "Audits and comparisons that were not made, by why.", "kind", "why"
        )
        self._circuits = Levels(
            "scrimp_circuit_state",
            "Whether a model is asked with a key: 0 closed (it is), 1 half open (one call tries "
            "it), 2 open (it is left alone).",
            *("model", "provider", "key"),
        )
        self._openings = Tally(
            "scrimp_circuit_openings", "Times a circuit opened.", "model", "provider", "key"
        )
        self._denied = Tally(
            "scrimp_retries_denied",
            "Repeated calls that the provider's retry budget did not allow.",
            "provider",
        )
        self._hedges = Tally(
            "scrimp_hedged_calls", "Second calls made beside a silent first one.", "model"
        )
        self._escalations = Tally(
            "scrimp_escalations",
            "Answers set aside for what they lacked; a stronger model was asked.",
            *("model", "lack"),
        )
        self._crowd = Levels(
            "scrimp_provider_calls",
            "Calls to a provider: in flight, and waiting for one of them to end.",
            *("provider", "state"),
        )
        self._shed = Tally(
            "scrimp_shed_calls", "Calls for which a provider had no place in time.", "provider"
        )
        self._readings = Tally(
            "scrimp_settings_readings",
            "Times the settings file was read again while it ran, by what came of it.",
            "outcome",
        )
        self._refused = Levels(
            "scrimp_settings_refused",
            "1 while the settings file has mistakes and the settings before it go on.",
        )
        self._restart = Levels(
            "scrimp_settings_needs_restart",
            "1 for each key that stands otherwise in the file and waits for a restart.",
            "key",
        )
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def observe(self, line: LedgerLine) -> None:
        """Count a request, when its line is first written; money only when that is final."""
        namespace, outcome = self._namespace(line.namespace), line.outcome
        self._requests.add((namespace, outcome.value))
        if outcome is Outcome.MISS:
            self._misses.add((namespace, line.miss_reason))
            if line.miss_reason.startswith(_GUARD):
                self._guard_stops.add((line.miss_reason.removeprefix(_GUARD),))
        elif outcome is Outcome.FAILED:
            self._failures.add((namespace, self._status(line.status)))
        for stage, ms in line.stage_ms:
            self._stages.add(stage.value, ms / 1000)
        if line.shadow is not None and line.shadow.outcome in _HITS:
            self._shadow_hits.add((namespace,))
        if line.state is not LineState.OPEN:
            self._count_money(namespace, line)

    def settled(self, line: LedgerLine) -> None:
        """Count money and tokens of a line that was open when observed, or is an audit's."""
        self._count_money(self._namespace(line.namespace), line)

    def degraded(self, part: str) -> None:
        """Count that a part failed and the service went on; from any thread."""
        self._degraded.add((part,))

    def partition_churn(self, namespace: str, field: str) -> None:
        """Count a partition that is new because of one changed field."""
        self._churn.add((self._namespace(namespace), self._field(field)))

    def feedback(self, kind: str) -> None:
        """Count a caller's word."""
        self._feedback.add((kind,))

    def tickets_expired(self, n: int) -> None:
        """Count tickets that nobody brought back."""
        self._expired.add((), n)

    def entries_removed(self, cause: str, n: int) -> None:
        """Count stored answers that were removed, by why."""
        self._removed.add((cause,), n)

    def assured(self, report: AssuranceReport) -> None:
        """Show how a namespace stands; namespaces without a label of their own are not shown."""
        namespace = self._namespace(report.namespace)
        if namespace == OTHER:
            return
        for bound in ("value", "low", "high"):
            level = None if report.error_rate is None else getattr(report.error_rate, bound)
            self._error_rate.set((namespace, bound), level)
        self._min_p_right.set((namespace,), report.min_p_right)
        self._certified.set((namespace,), float(report.state is AssuranceState.CERTIFIED))

    def drifted(self, namespace: str) -> None:
        """Count an alarm."""
        self._drift_alarms.add((self._namespace(namespace),))

    def routed_as(self, report: DriftReport) -> None:
        """Show how a calibrated namespace stands; beyond the first namespaces none is shown."""
        namespace = self._namespace(report.namespace)
        if namespace == OTHER:
            return
        self._route_evidence.set((namespace,), report.log_evidence)
        for one in report.models:
            model = self._model(one.model)
            self._route_share.set((namespace, model, "now"), one.share)
            self._route_share.set((namespace, model, "calibrated"), one.calibrated_share)

    def learned(self, namespace: str, model: str, level: Level) -> None:
        """Show what the traffic taught of a model."""
        namespace, model = self._namespace(namespace), self._model(model)
        if namespace != OTHER:
            for bound in ("mean", "low", "high"):
                self._adequacy.set((namespace, model, bound), getattr(level, bound))

    def routing_drifted(self, namespace: str) -> None:
        """Count an alarm."""
        self._route_alarms.add((self._namespace(namespace),))

    def checked(self, namespace: str, kind: str, verdict: str) -> None:
        """Count two answers that were compared."""
        self._checks.add((self._namespace(namespace), kind, verdict))

    def unchecked(self, kind: str, why: str) -> None:
        """Count a check that was wanted and not made."""
        self._unchecked.add((kind, why))

    def circuit(self, model: str, provider: str, key: str, state: str) -> None:
        """Show a circuit's state; ``key`` is the name of the variable that the key is from."""
        self._circuits.set((model, provider, key), _CIRCUIT_LEVELS[state])
        if _CIRCUIT_LEVELS[state] == _OPEN:
            self._openings.add((model, provider, key))

    def way_gone(self, model: str, provider: str, key: str) -> None:
        """Show the circuit of a way that has left the settings no more."""
        self._circuits.set((model, provider, key), None)

    def provider_gone(self, provider: str) -> None:
        """Show the calls of a provider that has left the settings no more."""
        self._crowd.set((provider, "in_flight"), None)
        self._crowd.set((provider, "waiting"), None)

    def settings_read(self, outcome: str) -> None:
        """Count a settings file that was read again: applied, unchanged or refused."""
        self._readings.add((outcome,))

    def settings_stand(self, *, is_refused: bool, needs_restart: Iterable[str]) -> None:
        """Show how the settings in use stand to the file; keys come from the tables' own."""
        self._refused.set((), float(is_refused))
        pending = set(needs_restart)
        for (key,) in self._restart.labels():
            if key not in pending:
                self._restart.set((key,), None)
        for key in pending:
            self._restart.set((key,), 1.0)

    def retry_denied(self, provider: str) -> None:
        """Count a call that was not repeated for want of budget."""
        self._denied.add((provider,))

    def crowd(self, provider: str, n_in: int, n_waiting: int) -> None:
        """Show how many calls a provider has, and how many wait."""
        self._crowd.set((provider, "in_flight"), n_in)
        self._crowd.set((provider, "waiting"), n_waiting)

    def shed(self, provider: str) -> None:
        """Count a call that found no place."""
        self._shed.add((provider,))

    def hedged(self, model: str) -> None:
        """Count a second call beside a silent one."""
        self._hedges.add((model,))

    def escalated(self, model: str, lack: str) -> None:
        """Count an answer that was set aside."""
        self._escalations.add((model, lack))

    def watch(self, what: Watched, read: Callable[[], float]) -> None:
        """Say how a gauge is read; called at every scrape, on the scraping thread."""
        self._watched[what] = read

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format; see ``CONTENT_TYPE``."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        for what, read in self._watched.items():
            gauge = GaugeMetricFamily(what.value, _WATCHED_HELP[what])
            gauge.add_metric([], read())
            yield gauge
        for metric in vars(self).values():
            if isinstance(metric, Tally | Levels | Durations):
                yield metric.family()

    def _count_money(self, namespace: str, line: LedgerLine) -> None:
        if line.shadow is not None and line.shadow.saved_nanos is not None:
            self._shadow_saved.add((namespace,), line.shadow.saved_nanos)
        if line.state is LineState.USAGE_UNKNOWN:
            self._usage_unknown.add((namespace,))
        elif line.cost_nanos is None or line.baseline_nanos is None:
            self._unpriced.add((namespace,))
        else:
            self._cost.add((namespace, line.cause.value), line.cost_nanos)
            self._baseline.add((namespace, line.cause.value), line.baseline_nanos)
        for attempt in line.attempts:
            model = self._model(attempt.model)
            self._attempts.add(
                (model, self._provider(attempt.provider), self._status(attempt.status))
            )
            if attempt.usage is not None:
                self._tokens.add((model, "input"), attempt.usage.input_tokens)
                self._tokens.add((model, "output"), attempt.usage.output_tokens)
