"""The upstream of ``faults``: a real HTTP server that fails as planned, and logs what it did.

It runs as a process of its own. The log is append-only, one JSON object a line: ``{"call", "kind",
"model"}`` when a request has come, before anything is done with it, and ``{"told", "input",
"output"}`` when a usage has been sent. What it did not tell it does not bill.

    python -m benchmarks.faults_upstream LOG < plan.json    # prints two ports: serving, refusing
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, TextIO

from aiohttp import web

from benchmarks.faults_plan import OK, n_tokens, words_of

_CASE = re.compile(r"\(case (\d+)\)")
_STALL_S = 20.0
_TRICKLE_S = 0.02
_TRICKLE_BYTES = 40
_RETRY_AFTER = ("0", "1", "date")
_NO_LINGER = struct.pack("ii", 1, 0)

Answer = Callable[["Call"], Awaitable[web.StreamResponse]]


class Call:
    """One call as it came.

    Args:
        request: of the HTTP server.
        body: parsed.
        number: of the call, from 1.
        upstream: which it came to.
    """

    def __init__(
        self, request: web.Request, body: Mapping[str, Any], number: int, upstream: Upstream
    ) -> None:
        self.request = request
        self.body = body
        self.number = number
        self.upstream = upstream
        self.model = str(body["model"])
        self.prompt = str(body["messages"][-1]["content"])
        self.case = int(_CASE.findall(self.prompt)[-1])
        self.is_streamed = bool(body.get("stream"))

    @property
    def message(self) -> dict[str, Any]:
        """The whole answer, in the form that was asked for."""
        words = words_of(self.case, self.model)
        if self.body.get("tools"):
            arguments = json.dumps({"note": words}, ensure_ascii=False)
            function = {"name": "note", "arguments": arguments}
            call = {"id": f"call-{self.case}", "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        if self.body.get("response_format"):
            words = json.dumps({"note": words}, ensure_ascii=False)
        return {"role": "assistant", "content": words}

    @property
    def finish_reason(self) -> str:
        """As chat completions have it."""
        return "tool_calls" if self.body.get("tools") else "stop"

    @property
    def usage(self) -> dict[str, int]:
        """What it is billed."""
        n_input = n_tokens(self.prompt)
        n_output = n_tokens(words_of(self.case, self.model))
        return {
            "prompt_tokens": n_input,
            "completion_tokens": n_output,
            "total_tokens": n_input + n_output,
        }

    def whole(self) -> bytes:
        """The answer as one JSON object."""
        choice = {"index": 0, "message": self.message, "finish_reason": self.finish_reason}
        body = {"model": f"{self.model}-2026", "choices": [choice], "usage": self.usage}
        return json.dumps({"object": "chat.completion", **body}).encode()

    def chunks(self) -> list[bytes]:
        """The answer as events."""
        message = self.message
        if message.get("tool_calls"):
            pieces: list[dict[str, Any]] = [
                {"tool_calls": [{"index": 0, **message["tool_calls"][0]}]}
            ]
        else:
            words = message["content"].split(" ")
            pieces = [{"content": w if n == 0 else f" {w}"} for n, w in enumerate(words)]
        chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish_reason}]})
        events = [_event({"model": f"{self.model}-2026", **one}) for one in chunks]
        return [*events, _event({"choices": [], "usage": self.usage}), b"data: [DONE]\n\n"]

    def abort(self) -> None:
        """Reset the connection."""
        transport = self.request.transport
        if transport is not None:
            endpoint = transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()


class Upstream:
    """Answers as planned.

    Args:
        steps: by case and model, what its calls come to, in order; the last stays.
        log: the append-only log.
    """

    def __init__(self, steps: Mapping[str, Mapping[str, Sequence[str]]], log: TextIO) -> None:
        self._steps = steps
        self._log = log
        self._n_calls = 0
        self._n_of: Counter[tuple[int, str]] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note a call and do to it what is planned."""
        self._n_calls += 1
        call = Call(request, await request.json(), self._n_calls, self)
        steps = self._steps.get(str(call.case), {}).get(call.model, (OK,))
        n = self._n_of[call.case, call.model]
        self._n_of[call.case, call.model] += 1
        step = steps[min(n, len(steps) - 1)]
        kind = step.removesuffix("_late")
        self._write({"call": call.number, "kind": kind, "model": call.model})
        return await _ANSWERS[step](call)

    def told(self, call: Call) -> None:
        """Note that a usage goes out."""
        usage = call.usage
        tokens = {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}
        self._write({"told": call.number, **tokens})

    def _write(self, row: Mapping[str, Any]) -> None:
        self._log.write(json.dumps(row) + "\n")
        self._log.flush()


async def _answer(call: Call, *, pause_s: float = 0.0, size: int = 1 << 20) -> web.StreamResponse:
    kind = "text/event-stream" if call.is_streamed else "application/json"
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(call.request)
    raw = b"".join(call.chunks()) if call.is_streamed else call.whole()
    call.upstream.told(call)
    for start in range(0, len(raw), size):
        await response.write(raw[start : start + size])
        await asyncio.sleep(pause_s)
    await response.write_eof()
    return response


async def _ok(call: Call) -> web.StreamResponse:
    return await _answer(call)


async def _trickle(call: Call) -> web.StreamResponse:
    """A few bytes at a time, characters and lines cut anywhere."""
    return await _answer(call, pause_s=_TRICKLE_S, size=_TRICKLE_BYTES)


async def _stall(call: Call) -> web.StreamResponse:
    ends_at = time.monotonic() + _STALL_S
    while time.monotonic() < ends_at and not _is_left(call):  # noqa: ASYNC110  nothing tells
        await asyncio.sleep(0.05)
    call.abort()
    return web.Response()


def _is_left(call: Call) -> bool:
    return call.request.transport is None or call.request.transport.is_closing()


async def _reset(call: Call) -> web.StreamResponse:
    call.abort()
    return web.Response()


async def _half(call: Call) -> web.StreamResponse:
    """Something of the answer, and then the connection is gone."""
    response = web.StreamResponse()
    await response.prepare(call.request)
    if call.is_streamed:
        await response.write(b"".join(call.chunks()[:-3][:4]))
    else:
        await response.write(call.whole()[:40])
    await asyncio.sleep(0.01)
    call.abort()
    return response


async def _garbled(call: Call, events: list[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(call.request)
    await response.write(b"".join(events) + b'data: {"choices": [{"delta"\n\n')
    await response.write_eof()
    return response


async def _malformed(call: Call) -> web.StreamResponse:
    return await _garbled(call, [])


async def _malformed_late(call: Call) -> web.StreamResponse:
    return await _garbled(call, call.chunks()[:1])


async def _busy(call: Call) -> web.StreamResponse:
    after = _RETRY_AFTER[call.number % len(_RETRY_AFTER)]
    if after == "date":
        after = formatdate(time.time() + 1, usegmt=True)
    error = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
    return web.json_response(error, status=429, headers={"Retry-After": after})


async def _broken(_: Call) -> web.StreamResponse:
    return web.json_response({"error": {"message": "internal"}}, status=500)


async def _unpaid(_: Call) -> web.StreamResponse:
    return web.json_response({"error": {"message": "Insufficient balance"}}, status=402)


async def _wrong(_: Call) -> web.StreamResponse:
    return web.json_response({"status": "fine", "data": ["no", "answer"]})


_ANSWERS: Mapping[str, Answer] = {
    OK: _ok,
    "stall": _stall,
    "reset": _reset,
    "half_stream": _half,
    "429": _busy,
    "500": _broken,
    "402": _unpaid,
    "malformed_sse": _malformed,
    "malformed_sse_late": _malformed_late,
    "trickle": _trickle,
    "wrong_json": _wrong,
}


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


async def _serve(log: Path, steps: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    with log.open("a", encoding="utf-8") as out, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # taken, and nobody listens
        upstream = Upstream(steps, out)
        app = web.Application()
        app.router.add_post("/{provider}/v1/chat/completions", upstream.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]} {refusing.getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("aiohttp.server").disabled = True  # it breaks off on purpose
    asyncio.run(_serve(Path(sys.argv[1]), json.loads(sys.stdin.readline())))
