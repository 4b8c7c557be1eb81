"""``faults``: an upstream that fails in ten ways, and what callers and the books make of it.

Three processes: the upstream with its own append-only log (``faults_upstream``), the service as it
ships, and this one, which asks through gRPC and judges every answer against the plan. Requests are
mixed: whole and streamed, text, JSON and tools, some asked again while the first is under way, some
by callers who leave after 0.3 s.

A request is recoverable when some model of its chain ends in an answer, and no stream of it can say
something and then fail: nothing may be spliced on to that, so an honest error is as right there as
an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks import console
from benchmarks.errors import UnusableInput
from benchmarks.faults_plan import KINDS, MODELS, OK, Planned, n_tokens, planned, words_of
from benchmarks.metrics import share
from benchmarks.service_process import Service, child_environment, run_to_end, served
from router.ledger.reader import open_to_read
from scrimp.client import Client
from scrimp.v1 import chat_pb2, gateway_pb2

_CONFIG = Path(__file__).resolve().parent / "faults.toml"
_KEYS: Final = {"SCRIMP_FAULTS_KEY_A": "key-a", "SCRIMP_FAULTS_KEY_B": "key-b"}
_CONCURRENCY: Final = 48
_GRACE_S: Final = 0.5
_SETTLE_S: Final = 10.0
_HONEST: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
_NOTE: Final = chat_pb2.Tool(name="note", parameters_json='{"type": "object"}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a caller got.

    Attributes:
        status: ``OK`` or the name of the gRPC status.
        seconds: until it had that.
        fault: what is wrong with it; empty: nothing.
        is_joined: it shared another request's call.
    """

    status: str
    seconds: float
    fault: str = ""
    is_joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Calls and tokens of one side.

    Attributes:
        calls: that reached the upstream.
        tokens: input and output that were told.
        untold: calls whose usage was not told.
        refused: connections that were refused; no calls.
    """

    calls: int
    tokens: int
    untold: int
    refused: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("--requests", type=int, default=2_000, metavar="N", help="default 2000")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of prompts and faults")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; see BENCHMARKS.md.

    Raises:
        UnusableInput: an option is out of range, or a process does not start.
    """
    if args.requests < 1:
        raise UnusableInput(f"--requests is at least 1, got {args.requests}")
    requests = planned(args.requests, args.seed)
    outcomes, injected, upstream, ledger = run_to_end(_measured(requests))
    result = figures(requests, outcomes, injected, upstream, ledger)
    if args.show:
        rows = [
            (n, request.case.steps, outcome.status, outcome.fault or "not served")
            for n, (request, outcome) in enumerate(zip(requests, outcomes, strict=True))
            if outcome.fault or (request.is_recoverable and outcome.status != "OK")
        ]
        console.show_cases("wrong", ("request", "plan", "status", "fault"), rows[: args.show])
    return result


async def _measured(
    requests: Sequence[Planned],
) -> tuple[list[Outcome], Counter[str], Books, Books]:
    with tempfile.TemporaryDirectory(prefix="scrimp-faults-") as name:
        log, config = Path(name) / "upstream.jsonl", Path(name) / "faults.toml"
        async with upstream_process(log, requests) as (port, refusing):
            config.write_text(settings_text(port, refusing), encoding="utf-8")
            console.say(f"{len(requests):,} requests to an upstream that fails as planned")
            async with served(config, env=_KEYS) as service:
                outcomes = await _ask_all(requests, service)
                ledger, upstream = await _settled(service, log)
            injected = injected_of(_rows(log))
    injected["refuse"] = ledger.refused
    return outcomes, injected, upstream, ledger


def settings_text(port: int, refusing: int) -> str:
    """Return the service's settings for an upstream on these ports."""
    text = _CONFIG.read_text(encoding="utf-8")
    text = text.replace("@UPSTREAM@", f"http://127.0.0.1:{port}")
    return text.replace("@REFUSING@", f"http://127.0.0.1:{refusing}")


@asynccontextmanager
async def upstream_process(
    log: Path, requests: Sequence[Planned]
) -> AsyncIterator[tuple[int, int]]:
    """Run the upstream; yields the port it serves on, and one where connections are refused."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.faults_upstream", str(log), stdin=PIPE, stdout=PIPE,
        start_new_session=True, env=child_environment(), limit=1 << 26,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        steps = {str(request.case.number): dict(request.case.steps) for request in requests}
        process.stdin.write(json.dumps(steps).encode() + b"\n")
        ports = (await asyncio.wait_for(process.stdout.readline(), 30)).split()
        if len(ports) != 2:
            raise UnusableInput("the upstream does not start; see above")
        yield int(ports[0]), int(ports[1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ask_all(requests: Sequence[Planned], service: Service) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    waiting = iter(console.track(list(enumerate(requests)), "asking", len(requests)))
    async with Client(service.target, caller="faults") as client:
        await asyncio.gather(*(_work(client, waiting, outcomes) for _ in range(_CONCURRENCY)))
    return [outcomes[n] for n in range(len(requests))]


async def _work(
    client: Client, waiting: Iterator[tuple[int, Planned]], outcomes: dict[int, Outcome]
) -> None:
    for number, request in waiting:
        outcomes[number] = await _ask(client, request)


async def _ask(client: Client, planned_one: Planned) -> Outcome:
    case = planned_one.case
    request = client.request(case.prompt)
    request.wishes.allowed_models.extend(case.models)
    if case.flavour == "tools":
        request.tools.append(_NOTE)
    elif case.flavour == "json":
        request.response_format.kind = chat_pb2.ResponseFormat.KIND_JSON_OBJECT
    started = time.perf_counter()
    pieces: list[str] = []
    done: gateway_pb2.CompleteResponse | None = None
    try:
        if planned_one.is_streamed:
            streaming = gateway_pb2.StreamCompleteRequest(request=request)
            async for event in client.gateway.StreamComplete(
                streaming, timeout=planned_one.deadline_s
            ):
                if event.WhichOneof("event") == "done":
                    done = event.done
                else:
                    pieces.append(event.delta.text)
        else:
            whole = gateway_pb2.CompleteRequest(request=request)
            done = await client.gateway.Complete(whole, timeout=planned_one.deadline_s)
    except grpc.aio.AioRpcError as error:
        status, seconds = error.code().name, time.perf_counter() - started
        fault = "" if status in _HONEST else f"{status}: {error.details()}"
        return Outcome(status=status, seconds=seconds, fault=fault)
    seconds = time.perf_counter() - started
    if done is None:
        return Outcome(status=OK.upper(), seconds=seconds, fault="a stream without an end")
    return Outcome(
        status=OK.upper(),
        seconds=seconds,
        fault=fault_of(planned_one, done, pieces),
        is_joined=done.report.cache.outcome == chat_pb2.CACHE_OUTCOME_SHARED,
    )


def fault_of(request: Planned, done: gateway_pb2.CompleteResponse, pieces: Sequence[str]) -> str:
    """Return what is wrong with an answer, against what the model it names says; empty: nothing."""
    model, case = done.report.provider_model.removesuffix("-2026"), request.case
    if model not in MODELS:
        return f"answered by {model!r}"
    words = words_of(case.number, model)
    usage = done.report.usage
    expected = n_tokens(case.prompt), n_tokens(words)
    if (usage.input_tokens, usage.output_tokens) != expected:
        return f"usage {usage.input_tokens}, {usage.output_tokens} instead of {expected}"
    if request.is_streamed and "".join(pieces) != done.answer.text:
        return "the pieces are not the answer"
    said = done.answer.text
    try:
        if case.flavour == "tools":
            said = json.loads(done.answer.tool_calls[0].arguments_json)["note"]
        elif case.flavour == "json":
            said = json.loads(said)["note"]
    except (ValueError, LookupError, TypeError):
        return "not in the form that was asked for"
    return "" if said == words else "not what the model said"


async def _settled(service: Service, log: Path) -> tuple[Books, Books]:
    """Return both books, once those of callers who left are written, too."""
    ends_at = time.monotonic() + _SETTLE_S
    while True:
        ledger, upstream = _ledger(service.data_folder), upstream_books(_rows(log))
        is_even = ledger.calls == upstream.calls and ledger.tokens == upstream.tokens
        if is_even or time.monotonic() > ends_at:
            return ledger, upstream
        await asyncio.sleep(0.2)


def _ledger(folder: Path) -> Books:
    with closing(open_to_read(folder)) as connection:
        rows = connection.execute("SELECT status, input_tokens, output_tokens FROM attempts")
        return ledger_books(rows.fetchall())


def ledger_books(rows: Iterable[tuple[str, int | None, int | None]]) -> Books:
    """Sum attempts: status, input tokens, output tokens. A refused connection is no call."""
    calls = [row for row in rows]
    reached = [row for row in calls if row[0] != "connect"]
    told = [(n_in, n_out) for _, n_in, n_out in reached if n_in is not None and n_out is not None]
    return Books(
        calls=len(reached),
        tokens=sum(n_in + n_out for n_in, n_out in told),
        untold=len(reached) - len(told),
        refused=len(calls) - len(reached),
    )


def upstream_books(rows: Iterable[Mapping[str, Any]]) -> Books:
    """Sum the upstream's log."""
    calls = told = tokens = 0
    for row in rows:
        if "call" in row:
            calls += 1
        else:
            told += 1
            tokens += row["input"] + row["output"]
    return Books(calls=calls, tokens=tokens, untold=calls - told)


def injected_of(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Count faults by kind."""
    return Counter(row["kind"] for row in rows if "call" in row and row["kind"] != OK)


def _rows(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def figures(
    requests: Sequence[Planned],
    outcomes: Sequence[Outcome],
    injected: Mapping[str, int],
    upstream: Books,
    ledger: Books,
) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md, and some more."""
    recoverable = [
        outcome
        for request, outcome in zip(requests, outcomes, strict=True)
        if request.is_recoverable
    ]
    errors = Counter(outcome.status for outcome in outcomes if outcome.status != OK.upper())
    n_calls = upstream.calls + ledger.refused
    return {
        "requests": len(requests),
        "injected": {kind: injected.get(kind, 0) for kind in KINDS},
        "least_injected_share": share(min(injected.get(kind, 0) for kind in KINDS), n_calls),
        "outcomes": {"ok": len(outcomes) - errors.total(), "error": dict(errors.most_common())},
        "recoverable": len(recoverable),
        "recoverable_ok": share(
            sum(outcome.status == OK.upper() for outcome in recoverable), len(recoverable)
        ),
        "wrong_outcomes": sum(bool(outcome.fault) for outcome in outcomes),
        "past_deadline": sum(
            outcome.seconds > request.deadline_s + _GRACE_S
            for request, outcome in zip(requests, outcomes, strict=True)
        ),
        "slowest_s": max(outcome.seconds for outcome in outcomes),
        "upstream_calls": upstream.calls,
        "ledger_calls": ledger.calls,
        "upstream_tokens": upstream.tokens,
        "ledger_tokens": ledger.tokens,
        "upstream_untold": upstream.untold,
        "ledger_untold": ledger.untold,
        "joined": sum(outcome.is_joined for outcome in outcomes),
    }
