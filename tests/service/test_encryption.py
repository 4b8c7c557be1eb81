"""Data that are encrypted at rest, from the settings to the bytes on disk."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from service.harness import EXACT, NEAR, Service, serving
from service.subprocesses import run_scrimp
from service.test_erasure import asked, found_in
from service.test_retention import MARK, STORED, leave_texts

from cache.errors import SealMismatch
from router.ledger.errors import LedgerRefused
from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD, NEW = base64.b64encode(b"o" * 32).decode(), (b"n" * 32).hex()
LENIENT: dict[str, object] = {"cache.max_error_rate": 0.1}
CONFIG = """
[service]
data_folder = "data"

[providers.puppet]
kind = "scripted"

[models.small]
provider = "puppet"
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    write(path, OLD)
    return path


@asynccontextmanager
async def opened(
    folder: Path, overrides: dict[str, object]
) -> AsyncIterator[tuple[Service, Client]]:
    """Run a service, with a client of it."""
    async with serving(folder, overrides=overrides) as service, service.client("acme") as client:
        yield service, client


def write(path: Path, *keys: str) -> None:
    path.touch(mode=0o600)
    path.write_text("# the first one writes\n" + "\n".join(keys) + "\n")


def sealed_by(path: Path) -> dict[str, object]:
    return {**LENIENT, "encryption.key_file": str(path)}


async def test_a_sealed_service_serves_and_its_files_tell_nothing(
    tmp_path: Path, key_file: Path
) -> None:
    """Hits by text and by likeness, retries, a restart; and no byte of any text."""
    folder = tmp_path / "data"
    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        await leave_texts(service, client)
        assert found_in(folder, MARK) == []

    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        exact = await client.look_up(asked(STORED, "carl"))
        near = await client.look_up(asked(STORED.lower().rstrip("?"), "dora"))
        retried = await client.complete(asked(STORED, "ann", request_id="r-1"))

    assert (exact.cache.outcome, near.cache.outcome) == (EXACT, NEAR)
    assert retried.report.replayed
    assert retried.answer.text == f"An answer to: {STORED}"
    assert found_in(folder, MARK) == []


async def test_a_key_is_changed_while_the_service_goes_on(tmp_path: Path, key_file: Path) -> None:
    """Both at first, the new one in front; after `scrimp encrypt` the old one may go."""
    folder = tmp_path / "data"
    config = tmp_path / "scrimp.toml"
    config.write_text(CONFIG + '[encryption]\nkey_file = "keys"\n')
    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        await leave_texts(service, client)

    write(key_file, NEW)
    with pytest.raises((SealMismatch, LedgerRefused), match="add that key behind the new one"):
        async with serving(folder, overrides=sealed_by(key_file)):
            pass
    write(key_file, NEW, OLD)
    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        assert (await client.look_up(asked(STORED, "carl"))).cache.outcome == EXACT
    status, out, err = await run_scrimp("encrypt", "--config", str(config))
    assert (status, out.count("rewritten with the key")) == (0, 2), err
    write(key_file, NEW)

    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        assert (await client.look_up(asked(STORED, "dora"))).cache.outcome == EXACT


async def test_plain_data_are_encrypted_and_back(tmp_path: Path, key_file: Path) -> None:
    """Only by the command: a start with a key before it is refused, with what to do."""
    folder = tmp_path / "data"
    config = tmp_path / "scrimp.toml"
    config.write_text(CONFIG + '[encryption]\nkey_env = "DATA_KEY"\n')
    async with (
        serving(folder, overrides={"cache.max_error_rate": 0.1}) as service,
        service.client("acme") as client,
    ):
        await leave_texts(service, client)
    assert found_in(folder, MARK) == ["cache.sqlite", "ledger.sqlite"]
    with pytest.raises((SealMismatch, LedgerRefused), match="run `scrimp encrypt`"):
        async with serving(folder, overrides=sealed_by(key_file)):
            pass

    there = await run_scrimp("encrypt", "--config", str(config), env={"DATA_KEY": OLD})
    assert there[0] == 0, there[2]
    assert found_in(folder, MARK) == []
    async with (
        serving(folder, overrides=sealed_by(key_file)) as service,
        service.client("acme") as client,
    ):
        assert (await client.look_up(asked(STORED, "carl"))).cache.outcome == EXACT
    report = await run_scrimp("report", "--config", str(config), env={"DATA_KEY": OLD})
    assert report[0] == 0, report[2]

    back = await run_scrimp("encrypt", "--off", "--config", str(config), env={"DATA_KEY": OLD})
    assert back[0] == 0, back[2]
    async with serving(folder) as service, service.client("acme") as client:
        assert (await client.look_up(asked(STORED, "dora"))).cache.outcome == EXACT
    assert OLD not in "".join([*there[1:], *report[1:], *back[1:]])
