"""What a benchmark shows: progress and wrong cases on stderr, the result on stdout or in a file.

Texts of data sets go to the terminal only, never into a result.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track as rich_track
from rich.table import Table

from benchmarks.errors import UnusableInput

_SHOWN_CHARS = 200

T = TypeVar("T")

stderr = Console(stderr=True, highlight=False, markup=False)


def say(sentence: str) -> None:
    """Tell on stderr what goes on."""
    stderr.print(sentence, style="dim")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Yield the items and show on stderr how far it is; silent where stderr is no terminal."""
    return rich_track(
        items,
        description=what,
        total=total,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


def show_cases(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """List cases on stderr; long texts are cut."""
    table = Table(*columns, title=title, title_justify="left", show_lines=True)
    for row in rows:
        table.add_row(*(_cut(str(cell)) for cell in row))
    stderr.print(table)


def print_result(scenario: str, result: Mapping[str, Any]) -> None:
    """Print a result for the eye on stdout, nested keys joined by dots."""
    table = Table("figure", "value", title=scenario, title_justify="left")
    for key, value in _flat(result):
        table.add_row(key, value)
    Console(highlight=False, markup=False).print(table)


def plain(value: Any) -> Any:  # noqa: ANN401  any value in, JSON's types out
    """Return a value in JSON's types: numpy's numbers as Python's, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result; folders are made.

    Raises:
        UnusableInput: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json(result) + "\n", encoding="utf-8")
    except OSError as error:
        raise UnusableInput(f"cannot write {path}: {error.strerror}") from error


def as_json(result: Mapping[str, Any]) -> str:
    """Return a result as one JSON object."""
    return json.dumps(plain(result), indent=2, allow_nan=False, ensure_ascii=False)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result as one JSON object on stdout, and nothing else."""
    sys.stdout.write(as_json(result) + "\n")
    sys.stdout.flush()


def _flat(value: object, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
        return
    if isinstance(value, float):
        yield path, f"{value:.4f}"
        return
    yield path, "null" if value is None else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + " ..."
