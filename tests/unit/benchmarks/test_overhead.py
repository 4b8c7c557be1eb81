from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import overhead
from benchmarks.errors import UnusableInput
from benchmarks.overhead_client import Seen, as_json
from benchmarks.overhead_peers import found
from benchmarks.overhead_upstream import answer, pieces, sent_ns
from benchmarks.processes import is_at_work, tree, tree_cpu_s
from router.settings import parse
from router.types import Mode


def seen(ms: float, core_ms: float = 0.0, **more: Any) -> dict[str, Any]:
    """What the client saw of a party that takes so long for everything, 100 answers in 2 s."""
    windows = [(50, 1.0, core_ms * 50 / 1e3, 0.01, 0.02)] * 2
    one = Seen(unary_ms=[ms] * 9, first_byte_ms=[ms / 2] * 9, passed_on_ms=[ms / 4] * 9)
    one.windows.extend(windows)
    return {**as_json(one), **more}


def test_what_is_added_is_the_difference_to_a_direct_call() -> None:
    """Of p50 and of p99, in the kinds of the contract; the headline is scrimp as it ships."""
    found = overhead.figures(
        {"direct": seen(1.0), "scrimp": seen(5.0, 4.0), "scrimp_off": seen(2.0, 1.0)}
    )

    assert found["added_ms"] == {
        "unary": {"p50": 4.0, "p99": 4.0},
        "stream_first_byte": {"p50": 2.0, "p99": 2.0},
    }
    assert found["added_ms_by_party"]["scrimp_off"]["unary"]["p50"] == 1.0
    assert found["passed_on_added_ms"]["scrimp"]["p50"] == 1.0
    assert set(found["latency_ms"]) == {"direct", "scrimp", "scrimp_off"}


def test_cores_are_counted_per_answer_over_all_windows() -> None:
    """A peer that needs eight times the core serves an eighth of the requests per core."""
    found = overhead.figures(
        {
            "direct": seen(1.0),
            "scrimp": seen(5.0, 4.0),
            "scrimp_off": seen(2.0, 1.0),
            "litellm": seen(9.0, 8.0),
        }
    )

    assert found["requests_per_s"]["litellm"] == 50.0
    core_ms = found["core_ms_per_request"]
    assert core_ms["scrimp"] == pytest.approx(4.0)
    assert core_ms["upstream"] == pytest.approx(0.2)
    assert found["requests_per_core_s"]["scrimp_off"] == pytest.approx(1_000.0)
    against = found["per_core_against"]["litellm"]
    assert against == {"scrimp": pytest.approx(2.0), "scrimp_off": pytest.approx(8.0)}


def test_answers_that_are_none_are_told() -> None:
    """By party and reason, and their number; outcomes of scrimp's cache stand beside them."""
    faulty = seen(5.0, faults={"ValueError: status 500": 2}, outcomes={"miss": 7})

    found = overhead.figures({"direct": seen(1.0), "scrimp": faulty, "scrimp_off": seen(2.0)})

    assert found["errors"] == 2
    assert found["errors_by_party"] == {"scrimp": {"ValueError: status 500": 2}}
    assert found["outcomes"] == {"scrimp": {"miss": 7}}


def test_what_nobody_measured_is_none() -> None:
    """Undefined is None, never 0."""
    nothing = as_json(Seen())

    found = overhead.figures({"direct": nothing, "scrimp": nothing, "scrimp_off": nothing})

    assert found["added_ms"]["unary"] == {"p50": None, "p99": None}
    assert found["requests_per_s"]["scrimp"] is None
    assert found["core_ms_per_request"]["scrimp"] is None
    assert found["requests_per_core_s"]["scrimp"] is None


def test_both_services_are_as_they_ship_but_for_the_mode() -> None:
    """One looks up and keeps, the other passes on; both know the one model at the upstream."""
    on, off = (parse(overhead.settings_text("http://127.0.0.1:1/v1", mode), {}) for mode in MODES)

    assert on.policy("default").mode is Mode.ON
    assert off.policy("default").mode is Mode.OFF
    assert set(on.models) == set(off.models) == {"fake"}


MODES = ("on", "off")


def test_peers_are_found_by_option_environment_and_path(tmp_path: Path) -> None:
    """In this order; what is given empty is left out, and `gateway` alone says too little."""
    for name in ("litellm", "gateway"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o755)
    path = {"PATH": str(tmp_path)}

    assert found([], {"PATH": ""}) == {}
    assert found([], path) == {"litellm": [str(tmp_path / "litellm")]}
    assert found([], path | {"SCRIMP_LITELLM": "a b"}) == {"litellm": ["a", "b"]}
    assert found(["litellm=c"], path | {"SCRIMP_LITELLM": "a b"}) == {"litellm": ["c"]}
    assert found(["litellm=", "portkey=node 'x y'"], path) == {"portkey": ["node", "x y"]}


@pytest.mark.parametrize("given", ["litellm", "nginx=nginx"])
def test_a_peer_that_nobody_can_start_is_refused(given: str) -> None:
    """With those that there are."""
    with pytest.raises(UnusableInput, match="litellm, portkey"):
        found([given], {})


def test_an_answer_tells_when_it_was_sent_and_what_was_asked() -> None:
    """Its first piece is enough for the first, all pieces together hold the second."""
    before = sent_ns(answer("a"))
    said = answer("how do i wrap a violin")

    first, *others = pieces(said)

    assert sent_ns(first) >= before
    assert others
    assert "how do i wrap a violin" in "".join([first, *others])


def test_processes_at_work_are_told_from_idle_ones() -> None:
    """With those that they have started: a gateway may be a script around one."""
    spins = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    busy = subprocess.Popen([sys.executable, "-c", spins])
    idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        while len(tree(busy.pid)) < 2 or tree_cpu_s(busy.pid) < 0.05:
            pass
        while is_at_work([idle.pid]):
            pass

        assert is_at_work(tree(busy.pid))
        assert tree_cpu_s(os.getpid()) >= tree_cpu_s(busy.pid)
    finally:
        for pid in reversed(tree(busy.pid)):
            os.kill(pid, 9)
        busy.wait()
        idle.communicate()
