"""``kill -9`` at any moment: what was acknowledged is there, and nothing is half-written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from service import kill9

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """600 stores by 32 apps, killed once at a random moment; `kill9.py` does the same at length."""
    seed = random.randrange(10**6)

    known = await kill9.main(600, 1, tmp_path, seed)

    assert len(known.stored) == 600, f"seed {seed}"
