"""Changes one number in a settings file and leaves all else, comments included, as it stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

_HEADER = re.compile(r"^\s*\[[^\[]")


class NotWritable(ValueError):
    """The file has no such table, or not in a form that can be changed line by line."""


def set_number(text: str, table: Sequence[str], key: str, value: float, note: str = "") -> str:
    """Return the text of a TOML file with ``key`` of a table set.

    Args:
        text: of the file.
        table: path of the table, such as ("models", "gpt-4o"); its header must stand in the file.
        key: a bare key.
        value: the number.
        note: a comment on the line; replaces the line's own.

    Raises:
        NotWritable: the table has no header of its own, or the result would say something else.
    """
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if _path(line) == tuple(table)), None)
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
    changed = set_number(path.read_text(encoding="utf-8"), table, key, value, note)
    part = path.with_name(f"{path.name}.part")
    part.write_text(changed, encoding="utf-8")
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


def _value(text: str, path: Sequence[str]) -> object:
    try:
        found: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found
