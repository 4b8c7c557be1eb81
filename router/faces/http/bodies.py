"""From a request's bytes to a JSON object that holds nothing which would trip anyone later."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from router.errors import InvalidRequest
from router.faces.bounds import (
    MAX_BIASES,
    MAX_FIELDS,
    MAX_PIECES,
    MAX_STOPS,
    Limits,
    check_count,
    check_pieces,
    no_constant,
)
from router.faces.http.problems import HttpError
from router.json_fields import TooDeep, parse

_MOST_AT_ONCE = 256 * 1024  # bytes that are read while everybody else waits
_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


async def read_body(request: web.Request, within_s: float) -> bytes:
    """Return a request's body.

    Raises:
        HttpError: it did not come in time.
        web.HTTPRequestEntityTooLarge: it is larger than the application takes.
    """
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError as error:
        raise HttpError(
            408, "body_late", f"the body did not come within http.body_s = {within_s:g} s"
        ) from error


async def parse_body(raw: bytes) -> dict[str, Any]:
    """Read a body, a large one in a thread; see ``read_json``."""
    if len(raw) <= _MOST_AT_ONCE:
        return read_json(raw)
    return await asyncio.to_thread(read_json, raw)


def check_counts(body: Mapping[str, Any], limits: Limits) -> None:
    """Check how much a body holds, before time goes into reading any of it.

    Raises:
        InvalidRequest: says of what there is too much.
    """
    check_count("the body", body, MAX_FIELDS)
    for field, most in (
        ("messages", limits.max_messages),
        ("tools", limits.max_tools),
        ("input", MAX_PIECES),
        ("system", MAX_PIECES),
        ("stop", MAX_STOPS),
        ("stop_sequences", MAX_STOPS),
        ("logit_bias", MAX_BIASES),
        ("metadata", MAX_FIELDS),
    ):
        value = body.get(field)
        if isinstance(value, list | dict):
            check_count(field, value, most)
    for field in ("messages", "input"):
        check_pieces(_n_pieces(body.get(field)))


def _n_pieces(turns: object) -> int:
    """Count what turns hold, and the results of tools in them; no further than is taken."""
    if not isinstance(turns, list):
        return 0
    n_pieces = 0
    for turn in turns:
        if not isinstance(turn, dict):
            continue
        for inner in (turn.get("content"), turn.get("tool_calls"), turn.get("output")):
            if isinstance(inner, list):
                n_pieces += len(inner)
                if n_pieces > MAX_PIECES:
                    return n_pieces
                n_pieces += _n_pieces(inner)
    return n_pieces


def read_json(raw: bytes) -> dict[str, Any]:
    """Read a body.

    Raises:
        InvalidRequest: it is no JSON object in UTF-8, is nested too deep, or holds NUL, lone
            surrogates, NaN or infinities.
    """
    try:
        body = parse(raw.decode(), parse_constant=no_constant)
        if _SUSPICIOUS.search(raw):
            _check_texts(json.dumps(body, ensure_ascii=False))
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is no UTF-8: {error.reason} at byte {error.start}"
        ) from error
    except TooDeep as error:
        raise InvalidRequest(f"the body is {error}; flatten it") from error
    except ValueError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidRequest(f"the body is {type(body).__name__}, expected a JSON object")
    return body


def _check_texts(written: str) -> None:
    """Check all texts at once, in a body that was read and written again: only real ones are left.

    Written without escapes, a lone surrogate stands as it is, and NUL alone as an escape after an
    even number of backslashes.
    """
    try:
        written.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("the body holds half a character (a lone surrogate)") from error
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", written):
        raise InvalidRequest("the body holds a NUL character; remove it")
