"""What is wrong with a settings file, said so that it can be put right at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HIDDEN = "(hidden: it looks like a secret)"

_SECRET_VALUE = re.compile(
    r"(sk|pk|rk|gsk|xai|hf|key|pplx|csk|fw|nvapi|ghp|glpat)[-_][A-Za-z0-9_\-.]{8,}"
    r"|AIza[A-Za-z0-9_\-]{16,}|AKIA[A-Z0-9]{12,}|Bearer\s+\S{8,}|eyJ[A-Za-z0-9_\-]{16,}",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(^|[._-])(api_?key|key|key_env|token|secret|password|passwd|auth|authorization)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to put right (or, among warnings, to think about).

    Attributes:
        key: dotted path of the setting, such as ``models.gpt-4o.provider``; empty: the whole file.
        seen: what stands there; a secret is never shown.
        expected: what may stand there.
        remedy: what to do about it.
        line: counted from 1; None where no file said it.
    """

    key: str
    seen: str
    expected: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        """One line for logs and terminals."""
        where = f"line {self.line}: " if self.line else ""
        subject = f"{self.key}: " if self.key else ""
        return f"{where}{subject}seen {self.seen}, expected {self.expected}; {self.remedy}"


class SettingsError(Exception):
    """The operator's settings cannot be used; carries every mistake that was found."""

    def __init__(self, mistakes: Sequence[Mistake], path: Path | None = None) -> None:
        self.mistakes = tuple(mistakes)
        self.path = path
        lines = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        noun = "mistake" if len(self.mistakes) == 1 else "mistakes"
        super().__init__(f"{len(self.mistakes)} {noun} in {path or 'the settings'}:\n{lines}")


def looks_secret(value: str) -> bool:
    """Tell whether a text has the shape of an API key."""
    return _SECRET_VALUE.match(value.strip()) is not None


def names_secret(key: str) -> bool:
    """Tell whether a key's own name says that a secret stands there."""
    return _SECRET_NAME.search(key) is not None


def shown(value: object, key: str = "") -> str:
    """Render a value for a message: short, containers by their size, secrets not at all."""
    if isinstance(value, str):
        if looks_secret(value) or names_secret(key):
            return HIDDEN
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return str(value)


def shown_path(parts: Iterable[str | int]) -> str:
    """Join a path to ``a.b[2]``; a part that looks like a secret is hidden."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (HIDDEN if looks_secret(part) else part)
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list them all."""
    names = sorted(known)
    if near := difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return f"did you mean {near[0]!r}?"
    return "known here: " + (", ".join(names) if names else "none")
