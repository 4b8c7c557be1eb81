"""OpenAI's embeddings, of the built-in encoder. Source: OpenAI's API reference, "Embeddings"."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

from router.embeddings import Embeddings
from router.errors import InvalidRequest
from router.faces.http.api import Body
from router.faces.http.names import ROUTED
from router.faces.http.problems import HttpError
from router.json_fields import count, items, text

ENCODER: Final = "scrimp-encoder"
_MOST_TEXTS: Final = 2_048


async def embedded(body: Body, embeddings: Embeddings) -> dict[str, Any]:
    """Answer a request for embeddings.

    Raises:
        InvalidRequest: says which field, what was seen, what is expected.
        HttpError: another model was asked for, or there is no encoder.
    """
    name = text(body.get("model"), "model")
    if not embeddings.dim:
        raise HttpError(503, "no_encoder", "the built-in encoder did not load; see the log")
    if name not in (ENCODER, *ROUTED):
        raise HttpError(
            404,
            "model_not_found",
            f"model {name[:64]!r} makes no embeddings here; {ENCODER} does, and its vectors are "
            "never those of another model",
        )
    form = text(body.get("encoding_format"), "encoding_format") or "float"
    if form not in ("float", "base64"):
        raise InvalidRequest(f"encoding_format is {form[:40]!r}, expected 'float' or 'base64'")
    wanted = count(body.get("dimensions"), "dimensions")
    if wanted not in (None, embeddings.dim):
        raise InvalidRequest(f"dimensions is {wanted}, and {ENCODER} makes {embeddings.dim}")
    vectors, n_tokens = await embeddings.embed(_texts(body.get("input")))
    rows = (
        vector.tolist() if form == "float" else b64encode(vector.astype("<f4").tobytes()).decode()
        for vector in vectors
    )
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)
        ],
        "model": ENCODER,
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
    }


def _texts(value: object) -> Sequence[str]:
    given = [value] if isinstance(value, str) else items(value, "input")
    if not given or len(given) > _MOST_TEXTS:
        raise InvalidRequest(f"input holds {len(given)} texts, expected 1 to {_MOST_TEXTS}")
    texts = [text(one, f"input[{n}]") for n, one in enumerate(given)]
    if not all(texts):
        raise InvalidRequest(f"input[{texts.index('')}] is empty; leave it out")
    return texts
