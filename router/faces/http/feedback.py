"""Feedback over HTTP: the caller's word on what it received, by the rules of gRPC's."""

from __future__ import annotations

from typing import Final

from router.errors import InvalidRequest
from router.faces.bounds import Limits, read_name, read_note
from router.faces.http.api import Body
from router.faces.http.words import Words
from router.json_fields import text
from router.ledger.types import FeedbackKind
from router.operations import Operations

_FIELDS: Final = frozenset({"response_id", "verdict", "note"})
_PREFIXES: Final = ("chatcmpl-", "msg_", "resp_")


async def reported(
    body: Body, words: Words, operations: Operations, limits: Limits
) -> dict[str, bool]:
    """Take a word on a response; return whether it is news.

    Args:
        body: ``response_id``, as a header or the answer's own id has it; ``verdict``; ``note``.
        words: who says so, and in which namespace.
        operations: keeps it.
        limits: of the settings.

    Raises:
        InvalidRequest: says which field, what was seen, what is expected.
        LineUnknown, FeedbackUnfit, Overloaded: see ``Operations.feedback``.
    """
    for name in body:
        if name not in _FIELDS:
            raise InvalidRequest(f"{name[:40]} is not known; there are: response_id, verdict, note")
    said = text(body.get("verdict"), "verdict")
    if said not in {kind.value for kind in FeedbackKind}:
        listed = ", ".join(FeedbackKind)
        raise InvalidRequest(f"verdict is {said[:40]!r}, which is none of {listed}")
    given = text(body.get("response_id"), "response_id")
    if not given:
        raise InvalidRequest("response_id is missing; send the header x-scrimp-response-id's")
    for prefix in _PREFIXES:
        given = given.removeprefix(prefix)
    taken = await operations.feedback(
        read_name(given, "response_id", limits),
        FeedbackKind(said),
        read_note(text(body.get("note"), "note")),
        namespace=words.namespace,
        caller=words.caller,
    )
    return {"is_new": taken.is_new}
