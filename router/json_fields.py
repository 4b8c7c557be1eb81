"""Reading the fields of a JSON body: the value in the wanted type, or a sentence that helps.

Every function raises ``InvalidRequest`` with the field's name, what was seen and what is expected.
None means that the field is absent or null.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from router.errors import InvalidRequest

_MOST: Final = 2**63  # no field holds more, and the compare refuses NaN and infinities as well
_NONE: Final[Mapping[str, dict[str, Any]]] = MappingProxyType({})
_HOLDING: Final = (dict, list)
_MOST_LEVELS: Final = 128  # far beyond any real body, and far within what the stack can write again


class TooDeep(ValueError):
    """JSON is nested deeper than is taken; what was read could not be written again."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {_MOST_LEVELS} levels")


def parse(written: str, *, parse_constant: Callable[[str], Any] | None = None) -> Any:  # noqa: ANN401
    """Read JSON from outside; see ``json.loads``.

    Raises:
        TooDeep: it is nested too deep.
        ValueError: it is no JSON.
    """
    try:
        value = json.loads(written, parse_constant=parse_constant)
    except RecursionError as error:
        raise TooDeep from error
    if written.count("[") + written.count("{") <= _MOST_LEVELS:
        return value
    level = [value]
    for _ in range(_MOST_LEVELS):  # level by level: the walk itself needs no stack
        level = [
            one
            for outer in level
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, _HOLDING)
        ]
        if not level:
            return value
    raise TooDeep


def number(value: object, field: str) -> float | None:
    """Return a number, as it is: whole or not."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(cast(float, value)) <= _MOST:
        raise InvalidRequest(f"{field} is {repr(value)[:40]}, expected a number")
    return cast(float, value)


def count(value: object, field: str) -> int | None:
    """Return a whole number."""
    found = number(value, field)
    if found is not None and found != int(found):
        raise InvalidRequest(f"{field} is {found!r}, expected a whole number")
    return None if found is None else int(found)


def flag(value: object, field: str) -> bool | None:
    """Return true or false."""
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{field} is {repr(value)[:40]}, expected true or false")
    return value


def text(value: object, field: str) -> str:
    """Return a string without NUL that UTF-8 can hold; empty where there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected a string")
    if "\0" in value:
        raise InvalidRequest(f"{field} holds a NUL character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{field} is no valid Unicode: {error.reason}") from error
    return value


def items(value: object, field: str) -> Sequence[Any]:
    """Return a list; empty where there is none."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected a list")
    return value


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """Return an object, which must be there."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected an object")
    return value


def as_json(value: object) -> str:
    """Return a value as it would be written."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"a number is beyond what JSON holds ({error})") from error
    except RecursionError as error:
        raise InvalidRequest("a field is nested deeper than can be written") from error


def from_base64(data: str, field: str) -> bytes:
    """Return what a text of base64 stands for."""
    try:
        return b64decode(data, validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidRequest(f"{field} holds data that is no base64 ({error})") from error


def unknown(value: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the fields of an object that are not known.

    Those that are null or empty are left out: clients send answers back as they got them.
    """
    return {
        name: one
        for name, one in value.items()
        if name not in known and one is not None and one != [] and one != ""
    }


def further(
    value: Mapping[str, Any], known: Collection[str], within: Mapping[str, dict[str, Any]] = _NONE
) -> str:
    """Return the fields of an object that are not known, as JSON; empty where there are none.

    Args:
        value: the object.
        known: names of its fields that are read.
        within: fields that are not known of objects that it holds, by the name of the object.
    """
    rest = unknown(value, known) | {name: one for name, one in within.items() if one}
    return as_json(rest) if rest else ""
