"""On which line of a TOML text a key stands. ``tomllib`` reads values and forgets places.

The text is known to be valid TOML (or to have been, before a faulty line was blanked), so this
only has to tell keys, strings and brackets apart; what it cannot follow it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

Path = tuple[str | int, ...]

MAX_DEPTH: Final = 16
"""Deeper keys are none of ours; they are found by the table around them."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"[ \t]*")
_VOID: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def locate(text: str) -> dict[Path, int]:
    """Map every key path of a TOML text to its line, counted from 1.

    Array elements appear under their index: ``("models", "a", "capabilities", 1)``.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: Mapping[Path, int], path: Sequence[str | int]) -> int | None:
    """Return the line of a path, or of the nearest table or array around it."""
    for end in range(len(path), 0, -1):
        found = lines.get(tuple(path[:end]))
        if found is not None:
            return found
    return None


class _Scanner:
    """A cursor over the text that notes where keys begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        """Read headers and assignments to the end of the text."""
        prefix: Path = ()
        while True:
            self._skip(_VOID)
            if self.at >= len(self.text):
                return
            if self._peek("["):
                prefix = self._header()
            else:
                self._assignment(prefix)
            self._skip(_BLANK)
            self._skip_line()

    def _header(self) -> Path:
        start = self.at
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        path = self._inside_arrays(self._key())
        if is_array:
            index = self._counts.get(path, 0)
            self._counts[path] = index + 1
            path = (*path, index)
        self._note(path, start)
        return path

    def _inside_arrays(self, key: Path) -> Path:
        """A header below an array of tables speaks of that array's last table."""
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return (*path, key[-1]) if key else path

    def _assignment(self, prefix: Path) -> None:
        start = self.at
        path = (*prefix, *self._key())
        self._note(path, start)
        self._skip(_BLANK)
        if self._peek("="):
            self.at += 1
            self._skip(_BLANK)
            self._value(path)

    def _value(self, path: Path) -> None:
        if found := _STRING.match(self.text, self.at):
            self.at = found.end()
        elif self._peek("["):
            self._sequence(path, "]")
        elif self._peek("{"):
            self._sequence(path, "}")
        else:
            self._skip(_SCALAR)

    def _sequence(self, path: Path, closing: str) -> None:
        """Read an array or an inline table to its end."""
        self.at += 1
        index = 0
        while self.at < len(self.text):
            self._skip(_VOID)
            if self._peek(closing):
                self.at += 1
                return
            before = self.at
            if closing == "}":
                self._assignment(path)
            else:
                self._note((*path, index), self.at)
                self._value((*path, index))
                index += 1
            self._skip(_VOID)
            if self._peek(","):
                self.at += 1
            if self.at == before:
                return

    def _key(self) -> Path:
        """Read a key: bare, quoted or dotted."""
        parts: list[str | int] = []
        while True:
            self._skip(_BLANK)
            if bare := _BARE.match(self.text, self.at):
                parts.append(bare.group())
                self.at = bare.end()
            elif quoted := _STRING.match(self.text, self.at):
                parts.append(_unquoted(quoted.group()))
                self.at = quoted.end()
            self._skip(_BLANK)
            if not self._peek("."):
                return tuple(parts)
            self.at += 1

    def _note(self, path: Path, at: int) -> None:
        line = self.text.count("\n", 0, at) + 1
        for end in range(1, min(len(path), MAX_DEPTH)):
            self.lines.setdefault(path[:end], line)
        if len(path) <= MAX_DEPTH:
            self.lines[path] = line

    def _peek(self, character: str) -> bool:
        return self.text.startswith(character, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def _skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1


def _unquoted(literal: str) -> str:
    """The text of a quoted key; rare escapes are read as they are spelled in the common case."""
    if literal.startswith("'"):
        return literal[1:-1]
    body = literal[1:-1]
    return re.sub(
        r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|["\\])',
        lambda found: chr(int(found[1][1:], 16)) if found[1][0] in "uU" else found[1],
        body,
    )
