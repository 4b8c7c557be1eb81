"""What the contract tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from fakes_upstream import UpstreamServer, upstream_server


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[UpstreamServer]:
    """An upstream of the test's own."""
    async with upstream_server() as server:
        yield server
