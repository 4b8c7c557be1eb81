"""One service for most tests; each test has a namespace of its own in it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from hashlib import sha256

import aiohttp
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from service.harness import Service, serving

from scrimp.client import Client

NAMESPACES = """
[namespaces.by-user]
share = "user"

[namespaces.fresh]
freshness_s = 60

[namespaces.repeating]
regenerate_s = 0

[namespaces.short-lived]
ttl_s = 600

[namespaces.masked]
system_prompt_masks = ['\\d{4}-\\d\\d-\\d\\d']

[namespaces.metered]
mode = "off"

[namespaces.shadowed]
mode = "shadow"

[namespaces.large-only]
pinned_model = "large"
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service that most tests share; its clock moves only when a test moves it."""
    folder = tmp_path_factory.mktemp("service") / "data"
    # Paraphrases are served from 0.85 on, so that tests of near hits need not hunt for one.
    overrides = {"cache.max_error_rate": 0.1}
    async with serving(folder, more=NAMESPACES, overrides=overrides) as running:
        yield running


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = re.sub(r"[^a-z0-9_]+", "-", str(request.node.name).lower())[:60]
    return f"{name}-{sha256(request.node.nodeid.encode()).hexdigest()[:6]}"


@pytest_asyncio.fixture(loop_scope="session")
async def client(service: Service, namespace: str) -> AsyncIterator[Client]:
    """A client of the shared service in the test's own namespace; the puppet knows nothing yet."""
    service.puppet.forget()
    async with service.client(namespace) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="session")
async def openai(service: Service, namespace: str) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client in the test's own namespace; it retries nothing."""
    service.puppet.forget()
    headers = {"x-scrimp-namespace": namespace}
    async with AsyncOpenAI(
        base_url=service.url, api_key="unused", max_retries=0, timeout=20, default_headers=headers
    ) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="session")
async def anthropic(service: Service, namespace: str) -> AsyncIterator[AsyncAnthropic]:
    """Anthropic's own client in the test's own namespace; it retries nothing."""
    service.puppet.forget()
    headers = {"x-scrimp-namespace": namespace}
    base_url = service.url.removesuffix("/v1")
    async with AsyncAnthropic(
        base_url=base_url, api_key="unused", max_retries=0, timeout=20, default_headers=headers
    ) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="session")
async def http(service: Service, namespace: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client in the test's own namespace, for what no client would send."""
    service.puppet.forget()
    async with aiohttp.ClientSession(
        f"http://{service.running.http_address}", headers={"x-scrimp-namespace": namespace}
    ) as session:
        yield session
