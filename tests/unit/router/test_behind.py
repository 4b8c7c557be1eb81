"""Since when a name stands for a model, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.behind import Behind
from router.settings import ModelSpec


def models(**of: str) -> dict[str, ModelSpec]:
    """Names to ``provider/model``."""
    return {
        name: ModelSpec(name=name, provider=one.split("/")[0], provider_model=one.split("/")[1])
        for name, one in of.items()
    }


async def test_a_change_is_known_from_then_on(tmp_path: Path) -> None:
    """Of the provider and of its model; in the file as in memory; a new name is none."""
    file, now = tmp_path / "models.json", [1.0]
    behind = Behind(file, lambda: now[0])
    assert behind.go_by(models(a="p/x", b="p/y")) == []
    await behind.keep()
    now[0] = 2.0
    assert behind.go_by(models(a="p/z", b="q/y", c="p/x")) == ["a", "b"]
    await behind.keep()
    now[0] = 3.0

    again = Behind(file, lambda: now[0])

    assert again.go_by(models(a="p/z", b="q/y", c="p/x")) == []
    for one in (behind, again):
        assert [one.since_s(name) for name in "abcd"] == [2.0, 2.0, 0.0, 0.0]
        assert [one.of(name) for name in "abcd"] == ["p/z", "q/y", "p/x", ""]


async def test_a_change_while_nothing_ran_counts_from_the_start(tmp_path: Path) -> None:
    """Also of a name that was away in between."""
    file = tmp_path / "models.json"
    behind = Behind(file, lambda: 1.0)
    behind.go_by(models(a="p/x"))
    behind.go_by(models(b="p/y"))
    await behind.keep()

    later = Behind(file, lambda: 9.0)

    assert later.go_by(models(a="p/z")) == ["a"]
    assert later.since_s("a") == 9.0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["x", "y"]}', '{"a": [1]}'])
async def test_a_file_that_cannot_be_read_is_as_none(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And is written anew."""
    file = tmp_path / "models.json"
    file.write_text(text)
    behind = Behind(file, lambda: 1.0)

    assert behind.go_by(models(a="p/x")) == []
    await behind.keep()

    assert "cannot be read" in caplog.text
    assert Behind(file, lambda: 1.0).of("a") == "p/x"
    assert file.stat().st_mode & 0o777 == 0o600
