"""From a file to a document: what the disk and TOML itself may object to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from router.settings.lines import MAX_DEPTH
from router.settings.mistakes import (
    HIDDEN,
    Mistake,
    SettingsError,
    looks_secret,
    names_secret,
    shown_path,
)

MAX_FILE_BYTES: Final = 1 << 20
_MAX_SYNTAX_MISTAKES: Final = 20
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_HEADER: Final = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
_DIGITS: Final = re.compile(r"[0-9_]{4000}")
_CASCADES: Final = ("Unclosed", "Cannot declare", "Cannot mutate", "Cannot overwrite")


def read_text(path: Path) -> str:
    """Read the file.

    Raises:
        SettingsError: it is absent, unreadable, a folder, too large or not UTF-8.
    """

    def refuse(seen: str, expected: str, remedy: str) -> SettingsError:
        return SettingsError([Mistake(key="", seen=seen, expected=expected, remedy=remedy)], path)

    try:
        if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
            raise refuse("a file of more than 1 MiB", "a settings file", "give another path")
        raw = path.read_bytes()
    except OSError as error:
        seen = f"{type(error).__name__} ({error.strerror})"
        raise refuse(
            seen, "a readable file", f"check the path {str(path)!r} and its rights"
        ) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        seen = f"byte 0x{raw[error.start]:02x} on line {line}"
        raise refuse(seen, "UTF-8", "save the file as UTF-8") from error


def parse_toml(text: str) -> tuple[dict[str, Any], list[Mistake], str]:
    """Parse TOML; go on after a faulty line so that later mistakes are reported with it.

    Returns:
        The document without its faulty lines, the mistakes, and the text that was parsed at last.
    """
    mistakes: list[Mistake] = []
    lines = text.replace("\r\n", "\n").split("\n")
    while True:
        cleaned = "\n".join(lines)
        try:
            return tomllib.loads(cleaned), mistakes, cleaned
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            number = int(place[1]) if place and place[1] else len(lines)
            what = _PLACE.sub("", str(error))
        except ValueError:  # Python's own limit on the digits of a number
            number = next((n for n, line in enumerate(lines, 1) if _DIGITS.search(line)), 1)
            what = "A number of more digits than can be read"
        except RecursionError:
            number, what = 1, "Unclosed nesting deeper than can be read"
        number = min(number, len(lines))
        is_again = bool(mistakes) and number <= (mistakes[-1].line or 0)
        if not is_again:
            mistakes.append(_syntax_mistake(lines, number, what))
        if is_again or what.startswith(_CASCADES) or len(mistakes) >= _MAX_SYNTAX_MISTAKES:
            return {}, mistakes, ""
        lines[number - 1] = ""


def _syntax_mistake(lines: list[str], line: int, what: str) -> Mistake:
    """Put the parser's complaint into our form, with the key's table before it."""
    key, equals, value = (part.strip() for part in lines[line - 1].partition("="))
    place: list[str] = []
    if equals and re.fullmatch(r"[\w.\"'-]+", key):
        headers = (_HEADER.match(text) for text in reversed(lines[: line - 1]))
        nearest = next((header[1] for header in headers if header), None)
        place = [key] if nearest is None else [nearest, key]
    return Mistake(
        line=line,
        key=shown_path(place),
        seen=what,
        expected="TOML",
        remedy=_syntax_remedy(what, key, equals, value),
    )


def _syntax_remedy(what: str, key: str, equals: str, value: str) -> str:
    """Say how to mend a line; a value that may be a secret is not quoted."""
    if equals and not value:
        return "give the key a value"
    if "Unclosed" in what:
        return "close what is open"
    if what.startswith("Cannot"):
        return "keep one of the two"
    is_word = re.fullmatch(r"[A-Za-z][\w./:-]*", value) is not None
    if is_word and not looks_secret(value) and not names_secret(key):
        if value.lower() in ("true", "false"):
            return f"write {value.lower()}"
        return f'put the text in quotes: {key} = "{value}"'
    return "write `key = value`, and texts in double quotes"


def find_secrets(document: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Find the texts that look like keys, wherever they stand, with a word on why."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            continue
        if isinstance(value, dict):
            waiting += [((*path, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]
        elif isinstance(value, str) and looks_secret(value):
            found.append((path, HIDDEN))
        elif isinstance(value, str) and re.search(r"://[^/@\s]*:[^/@\s]*@", value):
            found.append((path, "(hidden: an address with a password in it)"))
    return sorted(found, key=lambda hit: [str(part) for part in hit[0]])
