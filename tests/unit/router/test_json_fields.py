"""Reading the fields of a JSON body."""

from __future__ import annotations

import json

import pytest

from router.errors import InvalidRequest, ProviderRejected
from router.json_fields import TooDeep, as_json, parse
from router.providers.asking import arguments_object


def deep(levels: int) -> str:
    """Lists and objects by turns."""
    pairs, rest = divmod(levels, 2)
    return '{"a":[' * pairs + "[" * rest + "]" * rest + "]}" * pairs


@pytest.mark.parametrize("levels", [0, 1, 127, 128])
def test_what_is_read_can_be_written_again(levels: int) -> None:
    """Up to 128 levels; no real body comes near."""
    written = deep(levels) or "1"

    assert parse(written) == json.loads(written)


@pytest.mark.parametrize("levels", [129, 900, 990, 5_000, 200_000])
def test_what_is_nested_too_deep_is_refused(levels: int) -> None:
    """Whether Python could just read it or not: writing it again might fail anywhere later."""
    with pytest.raises(TooDeep, match="nested deeper than 128 levels"):
        parse(deep(levels))


def test_a_value_too_deep_to_write_is_the_callers_fault() -> None:
    """However it came to be."""
    value: list[object] = []
    for _ in range(10_000):
        value = [value]

    with pytest.raises(InvalidRequest, match="nested deeper than can be written"):
        as_json(value)


@pytest.mark.parametrize("levels", [200, 100_000])
def test_arguments_too_deep_for_another_wire_are_refused(levels: int) -> None:
    """They come as text, and are read where the wire wants an object."""
    with pytest.raises(ProviderRejected, match="no JSON object"):
        arguments_object(deep(levels))
