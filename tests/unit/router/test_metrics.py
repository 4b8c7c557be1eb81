from __future__ import annotations

from fakes_ledger import a_hit, a_line, an_attempt, an_open_line
from prometheus_client.parser import text_string_to_metric_families

from router.ledger.types import Cause, LineState, Outcome, Shadow
from router.metrics import MAX_LABELS, Metrics, Watched
from router.types import Attribution


def samples(metrics: Metrics) -> dict[str, float]:
    """Return what a scrape shows, as ``name{value,value}`` in the order of the label names."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_a_hit_saves_its_baseline() -> None:
    """Cost and baseline are shown apart, in dollars; no tokens are counted twice."""
    metrics = Metrics()

    metrics.observe(a_hit())

    shown = samples(metrics)
    assert shown["scrimp_requests_total{shop,exact}"] == 1
    assert shown["scrimp_cost_usd_total{exact,shop}"] == 0
    assert shown["scrimp_baseline_usd_total{exact,shop}"] == 0.0026
    assert not any(name.startswith("scrimp_tokens") for name in shown)


def test_a_miss_shows_reason_attempts_and_tokens() -> None:
    """Retries are attempts too; a guard's veto is counted under the guard."""
    failed = an_attempt(status="timeout", usage=None, cost_nanos=0)
    metrics = Metrics()

    metrics.observe(a_line(miss_reason="guard_number", attempts=(failed, an_attempt())))

    shown = samples(metrics)
    assert shown["scrimp_misses_total{shop,guard_number}"] == 1
    assert shown["scrimp_guard_stops_total{number}"] == 1
    assert shown["scrimp_attempts_total{small,openai,timeout}"] == 1
    assert shown["scrimp_attempts_total{small,openai,ok}"] == 1
    assert shown["scrimp_tokens_total{small,input}"] == 900
    assert shown["scrimp_tokens_total{small,output}"] == 200


def test_what_was_saved_may_fall() -> None:
    """A failed call adds cost and no baseline: two counters that grow, a difference that falls."""
    metrics = Metrics()

    metrics.observe(
        a_line(outcome=Outcome.FAILED, cause=Cause.FAILED, baseline_nanos=0, status="UNAVAILABLE")
    )

    shown = samples(metrics)
    assert shown["scrimp_failures_total{shop,UNAVAILABLE}"] == 1
    assert shown["scrimp_cost_usd_total{failed,shop}"] == 0.00052
    assert shown["scrimp_baseline_usd_total{failed,shop}"] == 0


def test_unknown_money_is_counted_apart() -> None:
    """What has no price, or no usage, adds nothing to cost and baseline."""
    metrics = Metrics()

    metrics.observe(a_line(cost_nanos=None))
    metrics.observe(a_line(state=LineState.USAGE_UNKNOWN))

    shown = samples(metrics)
    assert shown["scrimp_unpriced_requests_total{shop}"] == 1
    assert shown["scrimp_usage_unknown_requests_total{shop}"] == 1
    assert not any(name.startswith("scrimp_cost_usd") for name in shown)


def test_an_audit_is_no_request_and_costs() -> None:
    """Its money is under its own cause; requests and hits are counted without it."""
    metrics = Metrics()

    metrics.settled(a_line(outcome=Outcome.AUDIT, cause=Cause.AUDIT, baseline_nanos=0))
    metrics.checked("shop", "audit", "different")
    metrics.unchecked("audit", "budget")

    shown = samples(metrics)
    assert shown["scrimp_cost_usd_total{audit,shop}"] == 0.00052
    assert shown["scrimp_baseline_usd_total{audit,shop}"] == 0
    assert shown["scrimp_checks_total{audit,shop,different}"] == 1
    assert shown["scrimp_unchecked_total{audit,budget}"] == 1
    assert not any(name.startswith("scrimp_requests_total") for name in shown)


def test_a_ticket_is_one_request_and_its_money_comes_later() -> None:
    """An open line counts as a request at once; settled, it adds cost, not a second request."""
    metrics = Metrics()
    metrics.observe(an_open_line())
    assert not any(name.startswith("scrimp_baseline_usd") for name in samples(metrics))

    metrics.settled(a_line())

    shown = samples(metrics)
    assert shown["scrimp_requests_total{shop,miss}"] == 1
    assert shown["scrimp_baseline_usd_total{routing,shop}"] == 0.0026


def test_shadow_is_shown_and_may_fall() -> None:
    """What shadow mode would have saved is a gauge of its own."""
    shadow = Shadow(outcome=Outcome.NEAR, model="small", saved_nanos=-2_000_000_000)
    metrics = Metrics()

    metrics.observe(a_line(shadow=shadow))

    shown = samples(metrics)
    assert shown["scrimp_shadow_hits_total{shop}"] == 1
    assert shown["scrimp_shadow_saved_usd{shop}"] == -2


def test_stages_are_a_histogram_of_seconds() -> None:
    """A time equal to a bound is within it; every bucket holds the ones below."""
    metrics = Metrics()

    metrics.observe(a_line(stage_ms=((a_line().stage_ms[0][0], 5.0),)))
    metrics.observe(a_line(stage_ms=((a_line().stage_ms[0][0], 61_000.0),)))

    shown = samples(metrics)
    assert shown["scrimp_stage_seconds_bucket{0.002,near}"] == 0
    assert shown["scrimp_stage_seconds_bucket{0.005,near}"] == 1
    assert shown["scrimp_stage_seconds_bucket{60.0,near}"] == 1
    assert shown["scrimp_stage_seconds_bucket{+Inf,near}"] == 2
    assert shown["scrimp_stage_seconds_sum{near}"] == 61.005


def test_labels_are_bounded_and_never_a_user() -> None:
    """However many namespaces and users come, the scrape stays small."""
    metrics = Metrics()

    for n in range(MAX_LABELS + 50):
        metrics.observe(a_hit(namespace=f"n{n}", attribution=Attribution(user=f"secret-{n}")))

    shown = samples(metrics)
    assert shown["scrimp_requests_total{(other),exact}"] == 50
    assert sum(name.startswith("scrimp_requests_total") for name in shown) == MAX_LABELS + 1
    assert b"secret" not in metrics.exposition()


def test_the_rest_of_the_service_is_counted() -> None:
    """Degraded parts, churn, feedback, tickets, removals, and gauges read at the scrape."""
    metrics = Metrics()
    metrics.degraded("ledger")
    metrics.partition_churn("shop", "system")
    metrics.feedback("hit_wrong")
    metrics.tickets_expired(3)
    metrics.entries_removed("evicted", 2)
    metrics.watch(Watched.CACHE_ENTRIES, lambda: 41)

    shown = samples(metrics)
    assert shown["scrimp_degraded_total{ledger}"] == 1
    assert shown["scrimp_partition_churn_total{system,shop}"] == 1
    assert shown["scrimp_feedback_total{hit_wrong}"] == 1
    assert shown["scrimp_expired_tickets_total{}"] == 3
    assert shown["scrimp_removed_entries_total{evicted}"] == 2
    assert shown["scrimp_cache_entries{}"] == 41


def test_two_services_in_one_process_count_apart() -> None:
    """No registry is global."""
    first, second = Metrics(), Metrics()

    first.observe(a_hit())

    assert "scrimp_requests_total{shop,exact}" not in samples(second)
