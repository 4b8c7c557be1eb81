from __future__ import annotations

import logging

import pytest

from cache.errors import StoreUnavailable
from router.reticence import HIDDEN, Reticent

SECRET = "my zebrafinch is ill"


def logged(error: Exception) -> str:
    record = logging.LogRecord(
        "router", logging.ERROR, __file__, 1, "a handler failed", (), (type(error), error, None)
    )
    record.exc_info = (type(error), error, error.__traceback__)
    return Reticent("%(message)s").format(record)


def raised(kind: type[Exception], cause: type[Exception] | None = None) -> Exception:
    try:
        try:
            if cause is not None:
                raise cause(SECRET)
        except Exception as error:
            raise kind("the disk is full" if kind is StoreUnavailable else SECRET) from error
        raise kind("the disk is full" if kind is StoreUnavailable else SECRET)
    except Exception as error:  # noqa: BLE001
        return error


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, AssertionError])
def test_what_an_unforeseen_error_quotes_is_not_written(kind: type[Exception]) -> None:
    """Its kind and its place are."""
    text = logged(raised(kind))

    assert "zebrafinch" not in text
    assert f"builtins.{kind.__name__}: {HIDDEN}" in text
    assert "in raised" in text


def test_causes_are_told_in_order_without_what_they_quote() -> None:
    """Our own errors say what they say; what led to them stays as silent as if it came alone."""
    text = logged(raised(StoreUnavailable, ValueError))

    assert "zebrafinch" not in text
    assert text.index("builtins.ValueError") < text.index("cache.errors.StoreUnavailable: the disk")
