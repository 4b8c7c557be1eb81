"""Changes a settings file where it is told to; all else, comments included, stays as it stands."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

_HEADER = re.compile(r"^\s*\[[^\[]")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

Value = float | Mapping[str, float]
"""What a table of numbers holds."""


class NotWritable(ValueError):
    """The file has no such table, or not in a form that can be changed line by line."""


def set_number(
    text: str,
    table: Sequence[str],
    key: str,
    value: float,
    note: str = "",
    *,
    may_add_table: bool = False,
) -> str:
    """Return the text of a TOML file with ``key`` of a table set.

    Args:
        text: of the file.
        table: path of the table, such as ("models", "gpt-4o"); its header must stand in the file.
        key: a bare key.
        value: the number.
        note: a comment on the line; replaces the line's own.
        may_add_table: a table without a header of its own gets one at the end of the file.

    Raises:
        NotWritable: the table has no header of its own, or the result would say something else.
    """
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if _path(line) == tuple(table)), None)
    if start is None and may_add_table:
        lines += ["", _header(table)]
        start = len(lines) - 1
    if start is None:
        raise NotWritable(f"the settings have no table [{'.'.join(table)}] to write {key} into")
    end = next(
        (n for n in range(start + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines)
    )
    own = re.compile(rf"^\s*{re.escape(key)}\s*=")
    stated = f"{key} = {value:g}" + (f"  # {note}" if note else "")
    at = next((n for n in range(start + 1, end) if own.match(lines[n])), None)
    if at is None:
        lines.insert(start + 1, stated)
    else:
        lines[at] = stated
    changed = "\n".join(lines) + "\n"
    if _value(changed, (*table, key)) != float(f"{value:g}"):
        raise NotWritable(f"{key} of [{'.'.join(table)}] cannot be changed line by line")
    return changed


def write_number(path: Path, table: Sequence[str], key: str, value: float, note: str = "") -> None:
    """Set a number in a file, in one step: never half a file.

    Raises:
        NotWritable: see ``set_number``.
        OSError: the file cannot be read or replaced.
    """
    replace_text(path, set_number(path.read_text(encoding="utf-8"), table, key, value, note))


def set_table(text: str, table: Sequence[str], values: Mapping[str, Value], note: str = "") -> str:
    """Return the text of a TOML file with a table that says these values and no others.

    Args:
        text: of the file.
        table: path of the table; where it stands it is replaced, else it comes last.
        values: numbers, and one level of numbers by name.
        note: a comment above the values.

    Raises:
        NotWritable: the result would say something else, elsewhere or here.
    """
    lines = text.splitlines()
    stated = [_header(table), *([f"# {note}"] if note else [])]
    stated += [f"{key} = {_rendered(value)}" for key, value in values.items()]
    start = next((n for n, line in enumerate(lines) if _path(line) == tuple(table)), None)
    if start is None:
        lines += ["", *stated]
    else:
        after = range(start + 1, len(lines))
        end = next((n for n in after if lines[n].lstrip().startswith("[")), len(lines))
        if end < len(lines):  # what is said above the next header is the next table's
            while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1][0] == "#"):
                end -= 1
        lines[start:end] = stated
    changed = "\n".join(lines) + "\n"
    before = _read(text)
    if before is None or _with(before, table, values) != _read(changed):
        raise NotWritable(f"[{'.'.join(table)}] cannot be written without touching other tables")
    return changed


def replace_text(path: Path, text: str) -> None:
    """Give a file another text, in one step; its mode is kept.

    Raises:
        OSError: the file cannot be replaced.
    """
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)


def _path(line: str) -> tuple[str, ...]:
    """Return the path that a header names; empty for any other line."""
    if not _HEADER.match(line):
        return ()
    try:
        found: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(found, dict) and found:
        ((name, found),) = found.items()
        names.append(name)
    return tuple(names)


def _header(table: Sequence[str]) -> str:
    return f"[{'.'.join(map(_key, table))}]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _rendered(value: Value) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {_rendered(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return f"{value}" if isinstance(value, int) else f"{value:.6g}"


def _read(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _with(document: object, table: Sequence[str], values: Mapping[str, Value]) -> object:
    """Return a document in which a table says just these values, as they read once written."""
    if not isinstance(document, dict):
        return None
    if not table:
        return tomllib.loads("\n".join(f"{_key(k)} = {_rendered(v)}" for k, v in values.items()))
    first, *rest = table
    return {**document, first: _with(document.get(first, {}), rest, values)}


def _value(text: str, path: Sequence[str]) -> object:
    found = _read(text)
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found
