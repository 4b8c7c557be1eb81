"""The benchmark of the gateway's own cost, small, with real processes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import overhead
from benchmarks.errors import UnusableInput

_PEER = """
import sys
from benchmarks import overhead_upstream
from aiohttp import web

port = next(word for word in sys.argv if word.startswith("--port=")).removeprefix("--port=")
app = web.Application()
app.router.add_post("/v1/chat/completions", overhead_upstream._handle)
web.run_app(app, host="127.0.0.1", port=int(port), print=None)
"""


def options(*peers: str) -> argparse.Namespace:
    small: dict[str, Any] = {"requests": 3, "rounds": 1, "seconds": 0.2, "concurrency": 4}
    return argparse.Namespace(**small, peer=["litellm=", *peers], seed=1, show=0, json=True)


def test_everybody_is_asked_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each party has every figure, all texts are new to the cache, and no answer is wrong."""
    peer = tmp_path / "build" / "peer.py"
    peer.parent.mkdir()
    peer.write_text(f"import sys; sys.path[:0] = {sys.path!r}\n{_PEER}", encoding="utf-8")
    (tmp_path / "package.json").write_text('{"version": "1.2.3"}', encoding="utf-8")
    monkeypatch.delenv("SCRIMP_LITELLM", raising=False)

    result = overhead.run(options(f"portkey={sys.executable} {peer}"))

    parties = {"direct", "scrimp", "scrimp_turns", "scrimp_off", "portkey"}
    assert set(result["requests_per_s"]) == set(result["latency_ms"]) == parties
    assert all(result["requests_per_s"].values())
    assert set(result["added_ms_by_party"]) == parties - {"direct"}
    assert all(one is not None for kind in result["added_ms"].values() for one in kind.values())
    assert result["errors"] == 0
    assert set(result["outcomes"]) == {"scrimp", "scrimp_turns", "scrimp_off"}
    assert set(result["outcomes"]["scrimp"]) == {"miss"}
    assert set(result["outcomes"]["scrimp_turns"]) == {"miss"}
    assert set(result["outcomes"]["scrimp_off"]) == {"bypass"}
    assert result["peers"]["portkey"]["version"] == "1.2.3"
    assert result["absent"] == ["litellm"]


def test_a_peer_that_does_not_start_is_told_with_its_own_words() -> None:
    """And ends the run: a peer that silently is not there would be no comparison."""
    command = f"portkey={sys.executable} -c 'raise SystemExit(\"no such upstream\")'"

    with pytest.raises(UnusableInput, match="no such upstream"):
        overhead.run(options(command))
