from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest

from router import app
from router.settings import Settings, parse


class Trouble(Exception):
    """What a part that cannot be made raises."""


def settings(folder: Path) -> Settings:
    return parse("", {}, overrides={"service.data_folder": str(folder)})


def no_part(*args: object, **kwargs: object) -> None:
    raise Trouble


@pytest.mark.parametrize("part", ["SqliteEntryStore", "SemanticCache", "Batcher", "terms_of"])
async def test_a_part_that_cannot_be_made_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The same process can build again on the same folder, and no thread of the failed one runs."""
    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(app, part, no_part)
        with pytest.raises(Trouble):
            app.build(settings(tmp_path / "data"))

    assert set(threading.enumerate()) == before
    async with app.build(settings(tmp_path / "data")) as built:
        assert built.notices == []


async def test_a_part_that_fails_to_close_keeps_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is seen, and the folder is free for the next process all the same."""
    built = app.build(settings(tmp_path / "data"))
    await built.start()

    async def fails() -> None:
        raise Trouble

    monkeypatch.setattr(built.gateway, "stop", fails)
    monkeypatch.setattr(built.cache, "close", fails)
    with pytest.raises(Trouble):
        await built.close()

    async with app.build(settings(tmp_path / "data")) as again:
        assert again.notices == []


async def test_a_closed_service_can_be_forgotten(tmp_path: Path) -> None:
    """What opens and closes many in one process does not keep the models of each."""
    built = app.build(settings(tmp_path / "data"))
    async with built:
        remembered = weakref.ref(built)
    del built

    for _ in range(100):  # a thread may still be letting go of its last work
        gc.collect()
        if remembered() is None:
            break
        await asyncio.sleep(0.05)

    assert remembered() is None
