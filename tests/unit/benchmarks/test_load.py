from __future__ import annotations

import asyncio
import os
from base64 import b64decode
from itertools import islice
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks import load
from benchmarks.load_client import Job, Window, figures, measured
from benchmarks.load_texts import distinct_texts, paraphrases
from benchmarks.processes import cpu_s, rss_mb
from router.reuse import traits_of
from scrimp.v1 import advisor_pb2, chat_pb2


def _client_figures(per_s: float, core_ms: float, **more: Any) -> dict[str, Any]:
    return {
        "n": 100, "wall_s": 2.0, "requests_per_s": per_s,
        "latency_ms": {"p50": 1.0, "p90": 2.0, "p99": 3.0},
        "core_ms": {"service": core_ms, "client": 0.3}, "rss_mb": 200.0,
        "outcomes": {"near": 90, "miss": 10}, "errors": {}, "sample": "", **more,
    }  # fmt: skip


def test_no_text_comes_twice() -> None:
    """Each text is used once, so that no look-up is an exact repeat by accident."""
    texts = list(islice(distinct_texts(1), 5_000))
    others = list(islice(paraphrases(texts[:500], 1), 5_000))

    assert len(set(texts)) == 5_000
    assert len({*texts[:500], *others}) == 5_500


def test_texts_are_as_long_as_traffic() -> None:
    """Ten to twelve words on average, and some of them long."""
    words = [len(text.split()) for text in islice(distinct_texts(2), 5_000)]

    assert 10 <= np.mean(words) <= 13
    assert np.percentile(words, 99) > 60


def test_texts_pass_the_rules_on_reuse() -> None:
    """None is personal, time-bound or in another language: the cache is what is measured."""
    texts = list(islice(distinct_texts(3), 400))

    for text in [*texts, *islice(paraphrases(texts, 3), 400)]:
        traits = traits_of(text)
        assert traits.is_english, text
        reasons = (traits.is_personal, traits.is_time_bound, traits.is_content_free)
        assert not any(reasons), text


def test_paraphrases_end_when_no_other_wording_is_left() -> None:
    """A long run on few entries stops instead of asking a text twice, or hanging."""
    texts = list(islice(distinct_texts(4), 3))

    assert len(list(paraphrases(texts, 4))) < 300


@pytest.mark.parametrize("scenario", ["exact", "near", "miss", "mixed"])
def test_a_scenario_asks_what_it_says(scenario: str) -> None:
    """Exact asks what is stored, miss what is not, near neither, and all from the seed alone."""
    texts = load.prepared(scenario, 20, 100, seed=5)

    stored = set(texts.store)
    n_known = sum(text in stored for text in texts.ask)
    assert n_known == {"exact": 20, "near": 0, "miss": 0, "mixed": 40}[scenario]
    assert texts.is_cycled is (scenario == "exact")
    assert load.prepared(scenario, 20, 100, seed=5) == texts


def test_the_service_is_held_to_encoder_echo_and_overhead() -> None:
    """The budget of near and miss is what cannot be saved, and 0.9 core-milliseconds."""
    texts = load.prepared("near", 5, 10, seed=0)
    encoder = {"per_s": 400.0, "core_ms": 2.0, "batch": 32, "encoder_id": "e"}

    found = load.result(
        "near", texts, _client_figures(300.0, 3.1), _client_figures(4_000.0, 0.3), encoder
    )

    assert found["budget_core_ms"] == pytest.approx(3.2)
    assert found["within_budget"] is True
    assert (found["limit_per_s"], found["ratio"]) == (400.0, 0.75)
    assert found["hit_share"] == 0.9
    assert found["errors"] == 0


def test_exact_is_measured_against_the_echo() -> None:
    """Nothing is encoded for an exact hit, so a bare echo is the limit."""
    texts = load.prepared("exact", 5, 10, seed=0)

    found = load.result(
        "exact", texts, _client_figures(1_000.0, 0.9), _client_figures(4_000.0, 0.3), None
    )

    assert (found["limit_per_s"], found["ratio"]) == (4_000.0, 0.25)
    assert found["encoder_core_ms"] is found["within_budget"] is None
    assert found["each_text_asked"] == 20.0


def test_a_window_without_requests_has_no_figures() -> None:
    """Undefined is None, never 0."""
    used = {"wall_s": 1.0, "service_s": 0.1, "client_s": 0.1, "rss_mb": 10.0}

    found = figures(Window(starts_at=0.0, ends_at=1.0), used)

    assert found["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert found["core_ms"] == {"service": None, "client": None}


async def test_the_client_counts_what_lies_within_the_window() -> None:
    """Look-ups go out as long as the window is open; errors are counted, not raised."""
    response = advisor_pb2.LookUpResponse(
        hit=advisor_pb2.StoredAnswer(answer=chat_pb2.Answer(text="stored")),
        cache=chat_pb2.CacheReport(outcome=chat_pb2.CACHE_OUTCOME_EXACT),
    ).SerializeToString()

    async def answer(request: bytes, context: Any) -> bytes:
        if b"refuse" in request:
            await context.abort(grpc.StatusCode.INTERNAL, "no")
        return response

    server = grpc.aio.server()
    methods: dict[str, Any] = {"LookUp": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("scrimp.v1.Advisor", methods),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    job = Job(
        target=f"127.0.0.1:{port}", server_pid=os.getpid(), concurrency=2, warm_up_s=0.1,
        seconds=0.3, ask=["fine", "refuse"], is_cycled=True,
    )  # fmt: skip

    async with asyncio.timeout(20):
        found = await measured(job)
    await server.stop(None)

    assert found["n"] == found["outcomes"]["exact"] > 0
    assert found["errors"]["INTERNAL: no"] > 0
    assert b64decode(found["sample"]) == response
    assert 0.2 < found["wall_s"] < 5


async def test_the_window_closes_when_the_texts_run_out() -> None:
    """Rates are over the time that was measured, not over the time that was asked for."""
    job = Job(target="127.0.0.1:1", server_pid=os.getpid(), concurrency=2, warm_up_s=0.0,
              seconds=60.0, ask=["a", "b", "c"])  # fmt: skip

    async with asyncio.timeout(20):
        found = await measured(job)

    assert found["n"] == 0
    assert sum(found["errors"].values()) == 3
    assert found["wall_s"] < 20


def test_processor_time_and_memory_of_a_process_are_read() -> None:
    """Of ourselves, here: both are there and grow."""
    before = cpu_s(os.getpid())
    while cpu_s(os.getpid()) <= before:
        sum(range(10_000))

    assert rss_mb(os.getpid()) > 5
