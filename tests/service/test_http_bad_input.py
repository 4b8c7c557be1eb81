"""Bad input over HTTP: the right status, OpenAI's error object, and the service goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from service.harness import Service, eventually, serving

from router.errors import ProviderUnavailable
from router.faces.http import bodies
from router.faces.http.bodies import read_json

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/chat/completions"
PROMPT = "How do volcanoes form under the sea?"
USER = {"role": "user", "content": PROMPT}
ASKED: dict[str, Any] = {"model": "auto", "messages": [USER]}


async def post(
    http: aiohttp.ClientSession, raw: bytes | str, path: str = PATH, **headers: str
) -> tuple[int, dict[str, Any]]:
    data = BytesIO(raw.encode() if isinstance(raw, str) else raw)
    async with http.post(path, data=data, headers=headers) as response:
        return response.status, await response.json()


def assert_refused(status: int, body: dict[str, Any], *words: str, expected: int = 400) -> None:
    assert status == expected, body
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    for word in words:
        assert word in error["message"]


def nested(depth: int) -> str:
    deep = "[" * depth + "]" * depth
    return json.dumps(ASKED)[:-1] + f', "x": {deep}}}'


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b"", "no JSON", id="empty"),
        pytest.param(b"{", "no JSON", id="half"),
        pytest.param(b"[]", "the body is list, expected a JSON object", id="list"),
        pytest.param(b'"text"', "the body is str", id="text"),
        pytest.param(b"\xff\xfe{}", "the body is no UTF-8", id="no UTF-8"),
        pytest.param(json.dumps(ASKED | {"x": float("nan")}), "NaN is no JSON number", id="NaN"),
        pytest.param(json.dumps(ASKED)[:-1] + ', "x": 1e999}', "beyond what JSON", id="too large"),
        pytest.param(json.dumps(ASKED | {"x": "a\0b"}), "NUL character", id="NUL"),
        pytest.param(json.dumps(ASKED | {"\0": 1}), "NUL character", id="NUL in a name"),
        pytest.param(json.dumps(ASKED | {"x": "\ud800"}), "half a character", id="surrogate"),
        pytest.param(nested(100_000), "nested deeper than 128 levels", id="nested"),
        pytest.param(nested(930), "nested deeper than 128 levels", id="nested as deep as is read"),
        pytest.param(nested(128), "nested deeper than 128 levels", id="nested a level too deep"),
        pytest.param(
            json.dumps(ASKED)[:-1] + ', "seed": 1' + "0" * 5_000 + "}", "no JSON", id="1e5000"
        ),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    http: aiohttp.ClientSession, raw: bytes | str, words: str
) -> None:
    """400 with a sentence that says what is wrong with it."""
    assert_refused(*await post(http, raw), words)

    status, body = await post(http, json.dumps(ASKED))
    assert (status, body["object"]) == (200, "chat.completion")


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
async def test_a_deep_body_passes(http: aiohttp.ClientSession, path: str) -> None:
    """To the last level that is taken; brackets within a text are none."""
    deep = json.loads(nested(127)) | {"max_tokens": 9}
    deep["messages"] = [USER | {"content": "[" * 1_000}]

    async with http.post(path, json=deep) as response:
        assert response.status == 200, await response.json()


async def test_backslashes_are_no_escapes(http: aiohttp.ClientSession) -> None:
    """A text that speaks of escapes holds none: it passes."""
    text = "What does \\u0000 mean, and \\\\ud800, and \U0001f30b?"

    status, _ = await post(http, json.dumps(ASKED | {"messages": [USER | {"content": text}]}))

    assert status == 200


def asking(**fields: Any) -> dict[str, Any]:
    return ASKED | fields


def saying(**fields: Any) -> dict[str, Any]:
    return ASKED | {"messages": [USER | fields]}


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        ({"model": "auto"}, "messages is no list with at least one message", "messages"),
        (asking(messages=[]), "messages is no list", "messages"),
        (asking(messages="hi"), "messages is no list", "messages"),
        (asking(messages=["hi"]), "messages[0] is str, expected an object", "messages[0]"),
        (saying(role="narrator"), "messages[0].role is 'narrator'", "messages[0].role"),
        (saying(role=None), "messages[0].role is None", "messages[0].role"),
        (saying(content=7), "messages[0].content is int", "messages[0].content"),
        (saying(content=[7]), "messages[0].content is int", "messages[0].content"),
        (saying(content=[{"type": "video"}]), "part of type 'video'", "messages[0].content"),
        (saying(tool_calls="x"), "messages[0].tool_calls is str", "messages[0].tool_calls"),
        (asking(model=7), "model is int, expected a string", "model"),
        (asking(stream="yes"), "stream is 'yes', expected true or false", "stream"),
        (asking(stream=True, stream_options=7), "stream_options is int", "stream_options"),
        (asking(temperature=3), "temperature is a number in [0, 2], got 3", "temperature"),
        (asking(temperature="hot"), "temperature is 'hot'", "temperature"),
        (asking(top_p=-1), "top_p is a number in [0, 1]", "top_p"),
        (asking(max_tokens=0), "max_tokens is a number in [1,", "max_tokens"),
        (asking(n=0), "n is a number in [1, 128]", "n"),
        (asking(n=10_000), "n is a number in [1, 128]", "n"),
        (asking(presence_penalty=9), "presence_penalty", "presence_penalty"),
        (asking(top_logprobs=999), "top_logprobs", "top_logprobs"),
        (asking(logit_bias={"1": 999}), "logit_bias is a number in [-100, 100]", "logit_bias"),
        (asking(stop=["x"] * 65), "stop holds 65 items, at most 64", "stop"),
        (asking(tools=[{}]), "tools[0].name is empty", "tools[0].name"),
        (asking(functions=[{"name": "f"}]), "functions is not supported; use tools", "functions"),
        (asking(audio={"voice": "x"}), "audio is not supported; answers are text", "audio"),
        (asking(response_format="json"), "response_format is str", "response_format"),
        (asking(metadata={"x-scrimp-color": "red"}), "x-scrimp-color is not known", None),
        (asking(user="x" * 257), "user is a name of at most 256 characters, got 257", "user"),
        (asking(user="a\nb"), "user holds control characters", "user"),
        (saying(content="x" * (5 << 20)), "limits.max_prompt_bytes", None),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    http: aiohttp.ClientSession, body: dict[str, Any], words: str, param: str | None
) -> None:
    """In the sentence, and in ``param`` for programs."""
    status, refused = await post(http, json.dumps(body))

    assert_refused(status, refused, words)
    assert refused["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"user": "x" * 7_000_000}),
        ("/v1/responses", {"input": PROMPT, "user": "x" * 300}),
        ("/v1/messages", {"max_tokens": 9, "metadata": {"user_id": "x" * 300}}),
    ],
)
async def test_a_user_of_any_body_is_a_name(
    http: aiohttp.ClientSession, path: str, fields: dict[str, Any]
) -> None:
    """Held to the bound of the header that says the same; the ledger keeps it with every line."""
    status, body = await post(http, json.dumps(ASKED | fields), path)

    assert status == 400
    assert "user is a name of at most 256 characters" in body["error"]["message"]


WRONG: Any = 7  # whoever reads it refuses it in other words
RESULT = {"type": "tool_result", "content": [WRONG] * 5_001}


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        (PATH, {"messages": [WRONG] * 1_001}, "messages holds 1001 items, at most 1000"),
        (PATH, {"tools": [WRONG] * 129}, "tools holds 129 items, at most 128"),
        (PATH, {"stop": [WRONG] * 65}, "stop holds 65 items, at most 64"),
        (
            PATH,
            {"logit_bias": dict.fromkeys(map(str, range(4_097)), "hot")},
            "logit_bias holds 4097 items",
        ),
        (PATH, {"metadata": {f"x-scrimp-{n}": WRONG for n in range(257)}}, "metadata holds 257"),
        (PATH, {f"f{n}": WRONG for n in range(300)}, "the body holds 303 items, at most 256"),
        (PATH, {"messages": [{"content": [WRONG] * 10_001}]}, "more than 10000 parts"),
        (PATH, {"messages": [{"tool_calls": [WRONG] * 5_001}] * 2}, "more than 10000 parts"),
        ("/v1/responses", {"input": [WRONG] * 10_001}, "input holds 10001 items"),
        ("/v1/responses", {"input": [{"output": [WRONG] * 5_001}] * 2}, "more than 10000 parts"),
        ("/v1/messages", {"stop_sequences": [WRONG] * 65}, "stop_sequences holds 65 items"),
        ("/v1/messages", {"system": [WRONG] * 10_001}, "system holds 10001 items"),
        ("/v1/messages", {"messages": [{"content": [RESULT] * 2}]}, "more than 10000 parts"),
        (
            "/v1/embeddings",
            {"metadata": {f"x-scrimp-{n}": 7 for n in range(257)}},
            "metadata holds",
        ),
    ],
)
async def test_too_much_is_refused_before_any_of_it_is_read(
    http: aiohttp.ClientSession, path: str, fields: dict[str, Any], words: str
) -> None:
    """Everybody else waits while a body is read: what is refused anyway is refused at once."""
    status, body = await post(http, json.dumps(ASKED | {"max_tokens": 9} | fields), path)

    assert status == 400
    assert words in body["error"]["message"]


async def test_a_large_body_is_parsed_in_a_thread(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a small one at once: changing threads takes longer than parsing it."""
    seen: list[bool] = []

    def noted(raw: bytes) -> dict[str, Any]:
        seen.append(threading.current_thread() is threading.main_thread())
        return read_json(raw)

    monkeypatch.setattr(bodies, "read_json", noted)
    for content in ("How are rivers named?", "x" * (300 << 10)):
        assert (await post(http, json.dumps(saying(content=content))))[0] == 200

    assert seen == [True, False]


async def test_an_unknown_model_is_not_found(http: aiohttp.ClientSession) -> None:
    """404 as OpenAI says it, with the models that there are."""
    for name in ("gpt-9", "", "x" * 500):
        status, body = await post(http, json.dumps(ASKED | {"model": name}))

        assert_refused(status, body, "there are: auto, scrimp, small", expected=404)
        assert body["error"]["code"] == "model_not_found"


async def test_an_oversized_body_is_refused(http: aiohttp.ClientSession) -> None:
    """413 beyond max_message_bytes, also for a small body that unpacks to a large one."""
    large = json.dumps(saying(content="x" * (9 << 20))).encode()

    status, body = await post(http, large)
    assert_refused(status, body, "limits.max_message_bytes", expected=413)
    status, body = await post(http, gzip.compress(large), **{"Content-Encoding": "gzip"})
    assert_refused(status, body, "limits.max_message_bytes", expected=413)
    assert (await post(http, json.dumps(ASKED)))[0] == 200


async def test_unknown_addresses_and_methods(http: aiohttp.ClientSession) -> None:
    """404 and 405, as JSON as everything else."""
    status, body = await post(http, "{}", "/v1/completions")
    assert_refused(status, body, "a base URL that ends in /v1", expected=404)
    async with http.get(PATH) as response:
        assert_refused(
            response.status, await response.json(), "GET is not taken here", expected=405
        )


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
async def test_web_pages_are_kept_out(
    service: Service, http: aiohttp.ClientSession, header: str
) -> None:
    """403: else any page that somebody reads could spend the keys of a service on the machine."""
    before = len(service.puppet.calls)

    status, body = await post(http, json.dumps(ASKED), **{header: "https://example.com"})

    assert_refused(status, body, "requests from web pages are refused", expected=403)
    assert body["error"]["type"] == "permission_error"
    assert len(service.puppet.calls) == before


async def test_headers_beyond_the_limit_are_refused(http: aiohttp.ClientSession) -> None:
    """400, and the connection is closed; the others go on."""
    async with http.get("/health", headers={"x-long": "x" * 40_000}) as response:
        assert response.status == 400

    async with http.get("/health") as response:
        assert response.status == 200


async def test_bytes_that_are_no_http_are_refused(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """400; what they hold is not logged, for it may be a prompt or a key."""
    host, port = service.running.http_address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"sk-secret-prompt \x00\x01 nonsense\r\n\r\n")

    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert answer.startswith(b"HTTP/1.0 400") or answer.startswith(b"HTTP/1.1 400")
    assert "sk-secret" not in caplog.text


async def test_too_many_in_flight_are_refused(tmp_path: Path) -> None:
    """429 with Retry-After, gRPC's calls counted in; whoever comes after is served again."""
    overrides = {"limits.max_in_flight": 2}
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
    ):
        gate = service.puppet.hold(PROMPT)
        running = [asyncio.create_task(client.complete(PROMPT)) for _ in range(2)]
        await gate.reached.wait()
        await eventually(lambda: service.running._edge.n_running == 2)

        async with http.post(PATH, json=ASKED) as response:
            assert_refused(
                response.status, await response.json(), "2 requests are in flight", expected=429
            )
            assert response.headers["Retry-After"] == "1"

        gate.open()
        await asyncio.gather(*running)
        assert (await post(http, json.dumps(ASKED)))[0] == 200


async def test_load_that_no_provider_has_a_place_for_is_shed(tmp_path: Path) -> None:
    """429, and when to come back."""
    places = {"providers.puppet.max_connections": 1, "providers.puppet.max_waiting": 0}
    async with (
        serving(tmp_path / "data", overrides=places) as service,
        service.client("acme") as client,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
    ):
        gate = service.puppet.hold("Who built the first bridge?")
        first = asyncio.create_task(client.complete("Who built the first bridge?"))
        await asyncio.wait_for(gate.reached.wait(), 5)

        async with http.post(PATH, json=ASKED) as response:
            body = await response.json()
        gate.open()
        await first

    assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert body["error"]["code"] == "overloaded"


async def test_a_provider_that_asked_to_be_left_alone_is_told_with_its_time(tmp_path: Path) -> None:
    """503 with Retry-After in whole seconds, never sooner than the provider said."""
    async with (
        serving(tmp_path / "data") as service,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
    ):
        busy = ProviderUnavailable("later", kind="http_429", retry_after_s=30.0)
        service.puppet.says(PROMPT, busy)

        for _ in range(2):  # also when nobody is asked any more
            async with http.post(PATH, json=ASKED) as response:
                body = await response.json()
            assert response.status == 503
            assert 25 <= int(response.headers["Retry-After"]) <= 30
            assert body["error"]["code"] == "no_model_available"


async def test_connections_are_bounded(tmp_path: Path) -> None:
    """One more than http.max_connections gets 503 at once; when one ends, the next is taken."""
    async with serving(tmp_path / "data", overrides={"http.max_connections": 2}) as service:
        host, port = service.running.http_address.split(":")
        open_ones = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        await asyncio.sleep(0.05)

        reader, extra = await asyncio.open_connection(host, int(port))
        answer = await asyncio.wait_for(reader.read(), 5)
        extra.close()
        for _, writer in open_ones:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        async with (
            aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
            http.get("/health") as response,
        ):
            status = response.status

    assert answer.startswith(b"HTTP/1.1 503")
    assert status == 200


async def test_a_body_that_trickles_is_given_up(tmp_path: Path) -> None:
    """408 after http.body_s; it counts as in flight no longer than that."""

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"model":'
        await asyncio.sleep(10)

    async with (
        serving(tmp_path / "data", overrides={"http.body_s": 0.2}) as service,
        aiohttp.ClientSession(f"http://{service.running.http_address}") as http,
        http.post(PATH, data=trickle()) as response,
    ):
        assert_refused(response.status, await response.json(), "http.body_s", expected=408)
        assert service.running._edge.n_running == 0


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    """After http.idle_s, whether it ever sent anything or stopped in the middle of its headers."""
    async with serving(tmp_path / "data", overrides={"http.idle_s": 0.2}) as service:
        host, port = service.running.http_address.split(":")
        for begun in (b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begun)

            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
