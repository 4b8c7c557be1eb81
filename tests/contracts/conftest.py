"""What the contract tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest_asyncio
from fakes_upstream import UpstreamServer, upstream_server

collect_ignore = [] if find_spec("litellm") else ["test_litellm_library.py"]
"""Tests of a library that is too heavy for everyone; the extra `litellm` brings it."""


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[UpstreamServer]:
    """An upstream of the test's own."""
    async with upstream_server() as server:
        yield server
