"""The upstream of ``overhead``, a process of its own: chat completions, at once and cheaply.

Prints its port, serves until its stdin ends. Every answer begins with the moment it was sent, in
nanoseconds of the clock that all processes of a machine share (``time.perf_counter_ns`` on Linux),
and goes on with the question, so that a client sees whose answer it has. A stream begins at once,
as providers' do with a chunk that holds a role and no words; its pieces follow one another with
small pauses, so that each has to be passed on by itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import uvloop
from aiohttp import web

PATH: Final = "/v1/chat/completions"
MODEL: Final = "fake"
_PAUSE_S: Final = 0.001
_WORDS_PER_PIECE: Final = 8
_REST: Final = (
    "Check the manual first, then change one thing at a time and note what happens; most faults "
    "show themselves within a few minutes. Keep a copy of what worked before. If nothing helps, "
    "begin again from the last state that was known to be good, and ask somebody who has seen it. "
) * 2
_FRAME: Final = {"id": "chatcmpl-0", "created": 1_700_000_000, "model": MODEL}
_EVENTS: Final = {"Content-Type": "text/event-stream"}


def answer(prompt: str) -> str:
    """Return what the model says to a prompt now."""
    return f"{time.perf_counter_ns()} {prompt} {_REST}"


def sent_ns(text: str) -> int:
    """Return when an answer, or its beginning, was sent.

    Raises:
        ValueError: it is none of ours.
    """
    return int(text.partition(" ")[0])


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces of a few words."""
    words = text.split(" ")
    for start in range(0, len(words), _WORDS_PER_PIECE):
        yield " ".join(words[start : start + _WORDS_PER_PIECE]) + " "


async def _handle(request: web.BaseRequest) -> web.StreamResponse:
    if request.method != "POST":
        return web.Response(status=404)  # some look around before they call
    body = json.loads(await request.read())
    prompt = body["messages"][-1]["content"]
    if body.get("stream"):
        return await _streamed(request, prompt)
    message = {"role": "assistant", "content": answer(prompt)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = _FRAME | {"object": "chat.completion", "choices": [choice], "usage": _usage(prompt)}
    return web.Response(body=json.dumps(whole).encode(), content_type="application/json")


async def _streamed(request: web.BaseRequest, prompt: str) -> web.StreamResponse:
    response = web.StreamResponse(headers=_EVENTS)
    await response.prepare(request)
    first, *others = pieces(answer(prompt))
    begin = _chunk({"role": "assistant", "content": ""})
    await response.write(begin + _chunk({"content": first}))
    for piece in others:
        await asyncio.sleep(_PAUSE_S)
        await response.write(_chunk({"content": piece}))
    usage = _event(_FRAME | {"choices": [], "usage": _usage(prompt)})
    await response.write(_chunk({}, finish="stop") + usage + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(_FRAME | {"object": "chat.completion.chunk", "choices": [choice]})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _usage(prompt: str) -> dict[str, int]:
    n_in, n_out = len(prompt.split()), len(_REST.split())
    return {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out}


async def serve() -> None:
    """Serve until stdin ends."""
    server = web.Server(_handle, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as running:
        running.run(serve())
