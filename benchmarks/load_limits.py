"""What ``load`` is measured against, each a process of its own: a bare echo, and the bare encoder.

``python -m benchmarks.load_limits echo`` reads {"response": base64}, prints its address, answers
every look-up with these bytes, and ends when its stdin does. ``... encoder`` reads {"texts": [...]}
and prints how fast they are encoded.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from base64 import b64decode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import uvloop

from benchmarks.processes import cpu_s
from cache.normalize import canonical
from classifier.encoder import OnnxEncoder

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_S_PER_BATCH = 1.5


async def echo(response: bytes) -> None:
    """Answer LookUp with the same bytes, until stdin ends."""

    async def answer(_request: bytes, _context: Any) -> bytes:  # noqa: ANN401
        return response

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, Any] = {"LookUp": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("scrimp.v1.Advisor", methods),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


def encoder_speed(texts: Sequence[str], seconds: float = _S_PER_BATCH) -> dict[str, Any]:
    """Encode the texts on all cores with each size of batch; return the best.

    Args:
        texts: are sorted by length first.
        seconds: spent on each size, at least one batch per core.
    """
    encoder = OnnxEncoder.load()
    by_length = sorted(map(canonical, texts), key=len)
    cores = len(os.sched_getaffinity(0))
    found = {}
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(encoder.encode, [by_length[:8]] * cores))  # warm
        for batch in BATCHES:
            found[batch] = _speed(encoder, pool, by_length, batch, seconds, cores)
    best = max(found, key=lambda batch: found[batch][0])
    return {
        "per_s": found[best][0],
        "core_ms": found[best][1],
        "batch": best,
        "per_s_by_batch": {str(batch): per_s for batch, (per_s, _) in found.items()},
        "encoder_id": encoder.encoder_id,
    }


def _speed(
    encoder: OnnxEncoder,
    pool: ThreadPoolExecutor,
    texts: Sequence[str],
    batch: int,
    seconds: float,
    cores: int,
) -> tuple[float, float]:
    """Return texts per second and core-milliseconds per text."""
    batches = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    # Every core gets long and short ones: the batches are dealt like cards.
    hands = [batches[core::cores] for core in range(cores)]
    deadline = time.perf_counter() + seconds

    def work(hand: Sequence[Sequence[str]]) -> int:
        # A whole round is due before the time is looked at, so that lengths are those of the texts.
        n = 0
        while hand and time.perf_counter() < deadline:
            for texts in hand:
                encoder.encode(texts)
                n += len(texts)
        return n

    began, used = time.perf_counter(), cpu_s(os.getpid())
    n_texts = sum(pool.map(work, hands))
    wall_s, core_s = time.perf_counter() - began, cpu_s(os.getpid()) - used
    return n_texts / wall_s, core_s * 1e3 / n_texts


def main() -> None:
    """Run what the command line names."""
    job_line = sys.stdin.readline()
    job = json.loads(job_line)
    if sys.argv[1] == "echo":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(echo(b64decode(job["response"])))
    else:
        json.dump(encoder_speed(job["texts"]), sys.stdout)


if __name__ == "__main__":
    main()
