"""From a document to checked tables: every key, type and range, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from router.settings.lines import line_of
from router.settings.mistakes import (
    HIDDEN,
    Mistake,
    did_you_mean,
    looks_secret,
    names_secret,
    shown,
    shown_path,
)
from router.settings.reading import find_secrets
from router.settings.tables import SettingsFile

Place = tuple[str | int, ...]

_SCHEMA: Final[dict[str, Any]] = SettingsFile.model_json_schema()
_KEY_REMEDY: Final = (
    "take the key out of this file, put it into an environment variable, and name that variable "
    "in api_key_env; the key in the file is best revoked"
)
_MAX_ROUNDS: Final = 8


def check_fields(
    document: dict[str, Any], lines: Mapping[Place, int]
) -> tuple[SettingsFile, list[Mistake]]:
    """Check a document against the tables.

    Faulty values are taken out, so that what is left can be checked further: their defaults stand
    in for them. ``document`` is changed.
    """
    mistakes: list[Mistake] = []
    for place, seen in find_secrets(document):
        mistakes.append(
            Mistake(
                key=shown_path(place),
                seen=seen,
                expected="no secrets in the file",
                remedy=_KEY_REMEDY,
                line=line_of(lines, place),
            )
        )
        _prune(document, place)
    for _ in range(_MAX_ROUNDS):
        try:
            return SettingsFile.model_validate(document), mistakes
        except ValidationError as failed:
            errors = failed.errors(include_url=False, include_context=False)
        places = [error["loc"] for error in errors]
        mistakes += [_explain(error, lines) for error in errors]
        for place in sorted(places, key=_deepest_and_last_first):
            _prune(document, place)
    return SettingsFile(), mistakes


def _deepest_and_last_first(place: Place) -> tuple[int, list[int]]:
    return -len(place), [-part if isinstance(part, int) else 0 for part in place]


def _prune(document: dict[str, Any], place: Place) -> None:
    """Take one value out; a named table that is no table becomes an empty one."""
    holder: Any = document
    for part in place[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return
    is_named_table = len(place) == 2 and place[0] in ("models", "providers")
    if is_named_table and isinstance(holder, dict) and place[-1] in holder:
        holder[place[-1]] = {}
        return
    try:
        del holder[place[-1]]
    except (KeyError, IndexError, TypeError):
        return


def _explain(error: ErrorDetails, lines: Mapping[Place, int]) -> Mistake:
    """Put one of pydantic's errors into our form."""
    place = error["loc"]
    last = place[-1] if place else ""
    name = last if isinstance(last, str) else ""
    if error["type"] == "extra_forbidden":
        expected, remedy = _explain_unknown(place, name, error["input"])
        seen = "an unknown key" if not names_secret(name) else f"an unknown key {HIDDEN}"
    else:
        schema = _schema_at(place)
        expected = describe(schema)
        seen = shown(error["input"], name)
        remedy = _remedy(error["input"], schema, name)
        if place and place[0] == "namespaces" and len(place) == 2 and name != "closed":
            expected = "a table of its own"
            remedy = f"{did_you_mean(name, ['closed'])} A namespace is [namespaces.{name}]"
    return Mistake(
        key=shown_path(place),
        seen=seen,
        expected=expected,
        remedy=remedy,
        line=line_of(lines, place),
    )


def _explain_unknown(place: Place, name: str, value: object) -> tuple[str, str]:
    known = _schema_at(place[:-1]).get("properties", {})
    where = f"a key of [{shown_path(place[:-1])}]" if len(place) > 1 else "a table of this file"
    if names_secret(name) or (isinstance(value, str) and looks_secret(value)):
        return "api_key_env, the name of an environment variable", _KEY_REMEDY
    return where, did_you_mean(name, known)


def _schema_at(place: Sequence[str | int]) -> dict[str, Any]:
    """Walk the tables' JSON schema to one key; an empty schema where it knows nothing."""
    schema = _SCHEMA
    for part in place:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            inner = schema.get("properties", {}).get(part)
            schema = inner if inner is not None else schema.get("additionalProperties") or {}
        schema = _resolved(schema)
    return schema


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and pass by ``| None``; keep the default that stands beside it."""
    chosen = next((s for s in schema.get("anyOf", ()) if s.get("type") != "null"), schema)
    if "$ref" in chosen:
        chosen = _SCHEMA["$defs"][chosen["$ref"].rsplit("/", 1)[-1]]
    if schema.get("default") is not None:
        return {**chosen, "default": schema["default"]}
    return chosen


def describe(schema: Mapping[str, Any]) -> str:
    """Say what may stand at a key, with its range."""
    if "enum" in schema:
        return "one of " + ", ".join(f'"{word}"' for word in schema["enum"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        return noun + _range(schema)
    if kind == "array":
        items = _resolved(schema.get("items", {}))
        return f"an array, each {describe(items)}"
    nouns = {"string": "a text", "boolean": "true or false", "object": "a table"}
    return nouns.get(str(kind), "another value")


def _range(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high = schema.get("maximum")
    if low is None and above is None and high is None:
        return ""
    opening = f"({above:g}" if above is not None else f"[{low}"
    return f" in {opening}, {high}]"


def _remedy(value: object, schema: Mapping[str, Any], name: str) -> str:
    kind = schema.get("type")
    if "enum" in schema and isinstance(value, str):
        return did_you_mean(value.strip().lower(), schema["enum"])
    if kind == "object":
        return f"write it as a table with its own header, [...{name}]"
    if kind == "array" and isinstance(value, str):
        return f"put it in brackets: {name} = [...]"
    if kind == "string" and not isinstance(value, (dict, list)):
        return "put it in double quotes"
    if kind in ("integer", "number", "boolean") and isinstance(value, str):
        return "write it without quotes"
    if kind == "integer" and isinstance(value, float) and value == value // 1:
        return f"write {value:.0f}"
    default = schema.get("default")
    return f"the default is {default}" if default is not None else "leave it out or correct it"
