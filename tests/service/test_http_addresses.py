"""Every address of the HTTP face, and what clients ask of it at their start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from anthropic import AsyncAnthropic
from service.harness import Service, serving

from router.faces.http.openapi import description

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED: Any = [{"role": "user", "content": "How do volcanoes form under the sea?"}]


async def test_the_description_names_every_address(
    service: Service, http: aiohttp.ClientSession
) -> None:
    """None is missing, none is invented; it is served."""
    assert service.running._http is not None
    app = service.running._http._runner.app
    served = {
        (route.method, str(route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {
        (method.upper(), path) for path, asked in description()["paths"].items() for method in asked
    }

    async with http.get("/openapi.json") as response:
        told = await response.json()

    assert isinstance(app, web.Application)
    assert described == served
    assert told == description()


async def test_tokens_are_estimated_where_nobody_counts(anthropic: AsyncAnthropic) -> None:
    """With a word that says so, and no call of a model."""
    short = await anthropic.messages.with_raw_response.count_tokens(model="small", messages=ASKED)
    long = await anthropic.messages.count_tokens(model="auto", messages=ASKED, system="x" * 3_500)

    assert short.headers["x-scrimp-estimate"] == "true"
    assert 5 < (await short.parse()).input_tokens < 50
    assert long.input_tokens > 1_000


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"model": "claude-9", "messages": ASKED}, 404, "not_found_error"),
        ({"model": "auto", "messages": []}, 400, "invalid_request_error"),
    ],
)
async def test_a_count_that_cannot_be_made_is_refused(
    http: aiohttp.ClientSession, body: dict[str, Any], status: int, kind: str
) -> None:
    """In the form of Anthropic's errors."""
    async with http.post("/v1/messages/count_tokens", json=body) as response:
        told = await response.json()

    assert (response.status, told["error"]["type"]) == (status, kind)


async def test_a_count_in_a_namespace_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """With the status that a message has there."""
    closed = "[namespaces]\nclosed = true\n[namespaces.acme]\n"
    async with (
        serving(tmp_path / "data", more=closed) as service,
        aiohttp.ClientSession() as http,
        http.post(
            f"{service.url}/messages/count_tokens",
            json={"model": "small", "messages": ASKED},
            headers={"x-scrimp-namespace": "acne"},
        ) as response,
    ):
        told = await response.json()

    assert (response.status, told["error"]["type"]) == (404, "not_found_error")


async def test_one_model_is_described_for_both_clients(anthropic: AsyncAnthropic) -> None:
    """By its name."""
    told = await anthropic.models.retrieve("small")

    assert (told.id, told.type, told.lifecycle) == ("small", "model", "active")
