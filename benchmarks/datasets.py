"""Labelled data: found, read with care, and split the same way for training and for judging.

Rows live outside the repository (their terms are not all ours to pass on) in gzipped JSON lines.
Training imports this module too, so that both sides of a split come from one rule.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

DATA_VARIABLE = "SCRIMP_DATA"
_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


class DatasetError(ValueError):
    """A data file is not what the reader needs; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two texts and whether one answer serves both.

    Attributes:
        a: the stored text.
        b: the text that asks.
        duplicate: the label.
        split: ``train``, ``dev`` or None where the file has no splits.
        test: what the pair probes (a CheckList template), or None.
    """

    a: str
    b: str
    duplicate: bool
    split: str | None
    test: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """A text of a group whose members share one answer.

    Attributes:
        text: the text.
        group: the name of its group.
        different: names of groups judged to want another answer; None where the file judges by
            the group alone.
    """

    text: str
    group: str
    different: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one model did on one prompt.

    Attributes:
        score: in [0, 1], 1 is best.
        cost_usd: what the call cost, where the file says so.
        output_tokens: tokens generated, where the file says so.
    """

    score: float
    cost_usd: float | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRow:
    """A prompt and how each model did on it.

    Attributes:
        id: unique within its file.
        benchmark: where it is from.
        domain: a subject within the benchmark.
        prompt: the text.
        outcomes: model name, as in the file, to outcome.
        tools: tool schemas offered with the prompt, empty where there were none.
        dialogue: rows of one dialogue share this; equal to ``id`` for a row that stands alone.
        contaminated: a model was trained on it; the protocol drops such rows.
    """

    id: str
    benchmark: str
    domain: str
    prompt: str
    outcomes: Mapping[str, Outcome]
    tools: tuple[Any, ...]
    dialogue: str
    contaminated: bool


def data_dir() -> Path | None:
    """Return the folder of the data sets, or None where there is none.

    ``SCRIMP_DATA`` names it; otherwise it is ``shared/data`` beside the repository.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else _DEFAULT
    return folder if folder.is_dir() else None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a .jsonl or .jsonl.gz file; empty lines are skipped.

    Raises:
        DatasetError: the file cannot be read, or a line is not a JSON object in UTF-8.
    """
    line_number = 0
    try:
        with _open(path) as lines:
            for line_number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise DatasetError(
                        f"{path}, line {line_number}: saw {type(row).__name__}, expected a JSON "
                        "object per line"
                    )
                yield row
    except DatasetError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path}, after line {line_number}: cannot be read ({error}); expected a .jsonl file, "
            "gzipped when its name ends in .gz"
        ) from error
    except ValueError as error:  # JSON and UTF-8 errors alike
        raise DatasetError(
            f"{path}, line {max(line_number, 1)}: saw text that is not JSON in UTF-8 ({error}); "
            "expected a JSON object per line"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as they lie on disk, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fold_of(key: str, folds: int, seed: int) -> int:
    """Return the fold in [0, folds) that a key belongs to; the same on every machine, for ever.

    Args:
        key: rows with one key never part (for a dialogue, give its name).
        folds: at least 1.
        seed: another seed, another split.
    """
    if folds < 1:
        raise ValueError(f"folds is at least 1, got {folds}")
    digest = hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % folds


def pairs(path: Path) -> Iterator[Pair]:
    """Yield the labelled pairs of a file.

    Raises:
        DatasetError: a row lacks a, b or duplicate, or holds them in another type.
    """
    for number, row in enumerate(read_rows(path), start=1):
        read = _Reader(path, number, row)
        duplicate = read.any("duplicate")
        if not (isinstance(duplicate, bool) or duplicate in (0, 1)):
            raise read.wrong("duplicate", duplicate, "true, false, 0 or 1")
        yield Pair(
            a=read.text("a"),
            b=read.text("b"),
            duplicate=bool(duplicate),
            split=read.optional_text("split"),
            test=read.optional_text("test"),
        )


def groups(path: Path) -> Iterator[Grouped]:
    """Yield the grouped texts of a file.

    Raises:
        DatasetError: a row lacks text or group, or ``different`` is no list.
    """
    for number, row in enumerate(read_rows(path), start=1):
        read = _Reader(path, number, row)
        different = row.get("different")
        if different is not None and not isinstance(different, list):
            raise read.wrong("different", different, "a list of group names")
        yield Grouped(
            text=read.text("text"),
            group=str(read.any("group")),
            different=None if different is None else frozenset(map(str, different)),
        )


def routing(path: Path) -> Iterator[RoutingRow]:
    """Yield the prompts of a file with the outcomes of each model.

    Contaminated rows are yielded too, marked; whoever judges or trains drops them.

    Raises:
        DatasetError: a row lacks a column, or an outcome has no score in [0, 1].
    """
    for number, row in enumerate(read_rows(path), start=1):
        read = _Reader(path, number, row)
        outcomes = read.any("outcomes")
        if not isinstance(outcomes, dict):
            raise read.wrong("outcomes", outcomes, "an object of model to outcome")
        tools = row.get("tools") or []
        if isinstance(tools, dict):  # one schema alone
            tools = [tools]
        if not isinstance(tools, list):
            raise read.wrong("tools", tools, "a list of tool schemas, or one")
        yield RoutingRow(
            id=read.text("id"),
            benchmark=read.text("benchmark"),
            domain=read.text("domain"),
            prompt=read.text("prompt"),
            outcomes={model: _outcome(read, model, one) for model, one in outcomes.items()},
            tools=tuple(tools),
            dialogue=str(row.get("dialogue", row["id"])),
            contaminated=bool(row.get("contaminated", False)),
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes columns out of a row, and knows how to complain."""

    path: Path
    number: int
    row: Mapping[str, Any]

    def any(self, column: str) -> Any:  # noqa: ANN401 - JSON
        if column not in self.row:
            raise DatasetError(
                f"{self.path}, row {self.number}: saw columns {sorted(self.row)}, expected "
                f"{column!r} among them"
            )
        return self.row[column]

    def text(self, column: str) -> str:
        value = self.any(column)
        if not isinstance(value, str):
            raise self.wrong(column, value, "a string")
        return value

    def optional_text(self, column: str) -> str | None:
        value = self.row.get(column)
        return None if value is None else str(value)

    def wrong(self, column: str, value: object, expected: str) -> DatasetError:
        return DatasetError(
            f"{self.path}, row {self.number}: saw {str(value)[:60]!r} in {column!r}, "
            f"expected {expected}"
        )


def _outcome(read: _Reader, model: str, value: object) -> Outcome:
    score = value.get("score") if isinstance(value, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise read.wrong(f"outcomes.{model}", value, "an object with a score in [0, 1]")
    outcome = cast(dict[str, Any], value)
    return Outcome(
        score=float(score),
        cost_usd=outcome.get("cost_usd"),
        output_tokens=outcome.get("output_tokens"),
    )


def _open(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")
