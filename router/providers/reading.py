"""Reading what upstreams answer: any JSON, text that may be no Unicode, counts that may lie."""

from __future__ import annotations

from math import isfinite

NO_ANSWER = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
"""What reading a strange answer may raise."""

_MAX_TOKENS = 2**31


def string(value: object) -> str:
    """Return a string, empty where there is none; a TypeError for anything else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def count(value: object) -> int | None:
    """Return a count of tokens; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _MAX_TOKENS else None


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates: JSON may hold them, UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def well_formed_all(value: object) -> object:
    """The same for all strings in a JSON value; numbers that JSON does not know become null."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [well_formed_all(one) for one in value]
    if isinstance(value, dict):
        return {well_formed(name): well_formed_all(one) for name, one in value.items()}
    return value


class PiecedText:
    """Text that comes in pieces, between which a character may be cut in two."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._half = ""

    def add(self, piece: str) -> str:
        """Take a piece; return what can be shown, the first half of a character held back."""
        piece = self._half + piece
        self._half = piece[-1:] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        shown = well_formed(piece.removesuffix(self._half))
        if shown:
            self._pieces.append(shown)
        return shown

    @property
    def rest(self) -> str:
        """What stands for a half that was held back to the end."""
        return well_formed(self._half)

    @property
    def whole(self) -> str:
        """All of it."""
        return "".join(self._pieces) + self.rest
