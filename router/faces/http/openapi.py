"""What the HTTP face takes, as an OpenAPI description: for tools, and for the fuzzer.

It says what we read; further fields are taken everywhere, since they are passed on.
Source: the OpenAPI Specification 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.faces.bounds import MAX_NOTE_CHARS, RANGES
from router.ledger.types import FeedbackKind

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": ["boolean", "null"]}
_JSON: Final[Schema] = {"type": "object"}
_NAMES: Final = (
    *("namespace", "caller", "user", "feature", "task", "conversation", "tags", "cache-control"),
    *("quality-target", "max-cost-usd", "allowed-models", "request-id", "timeout-s"),
)
_ERRORS: Final[Mapping[str, str]] = {
    "400": "the request breaks a rule; the sentence says which, and what to do",
    "401": "a key is wanted",
    "403": "the key does not cover this, or a web page asks",
    "404": "there is no such model, response or address",
    "408": "the body did not come in time",
    "409": "the request id was used for another body",
    "413": "the body is too large",
    "429": "a bound was reached; see Retry-After",
    "500": "a fault of scrimp's own",
    "502": "the provider's answer is none",
    "503": "no model answered, or the service stops",
    "504": "too late",
}


def _object(required: str = "", **fields: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": fields}
    return schema | ({"required": required.split()} if required else {})


def _list(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items, "minItems": least}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _number(name: str, kind: str = "number") -> Schema:
    least, most = RANGES[name]
    return {"type": [kind, "null"], "minimum": least, "maximum": most}


def _sampling() -> dict[str, Schema]:
    return {
        "temperature": _number("temperature"),
        "top_p": _number("top_p"),
        "max_tokens": _number("max_tokens", "integer"),
        "metadata": _JSON,
        "stream": _FLAG,
    }


_PART: Final = _any(
    _object("type text", type=_one_of("text"), text=_TEXT),
    _object(
        "type image_url",
        type=_one_of("image_url"),
        image_url=_object("url", url=_TEXT, detail=_one_of("auto", "low", "high")),
    ),
)
_CALL: Final = _object(
    "id type function",
    id=_TEXT,
    type=_one_of("function"),
    function=_object("name arguments", name=_TEXT, arguments=_TEXT),
)
_MESSAGE: Final = _object(
    "role content",
    role=_one_of("system", "developer", "user", "assistant", "tool"),
    content=_any(_TEXT, _list(_PART)),
    name=_TEXT,
    tool_call_id=_TEXT,
    tool_calls=_list(_CALL),
)
_FUNCTION: Final = _object(
    "name",
    name={"type": "string", "minLength": 1},
    description=_TEXT,
    parameters=_JSON,
    strict=_FLAG,
)
_CHAT: Final = _object(
    "model messages",
    model=_one_of("auto", "scrimp"),
    messages=_list(_MESSAGE, 1),
    **_sampling(),
    max_completion_tokens=_number("max_tokens", "integer"),
    n=_number("n", "integer"),
    seed={"type": ["integer", "null"]},
    stop=_any(_TEXT, _list(_TEXT)),
    presence_penalty=_number("presence_penalty"),
    frequency_penalty=_number("frequency_penalty"),
    logprobs=_FLAG,
    top_logprobs=_number("top_logprobs", "integer"),
    logit_bias={"type": "object", "additionalProperties": _number("logit_bias")},
    reasoning_effort=_TEXT,
    user=_TEXT,
    tools=_list(_object("type function", type=_one_of("function"), function=_FUNCTION)),
    tool_choice=_any(_one_of("auto", "none", "required"), _JSON),
    response_format=_any(
        _object("type", type=_one_of("text", "json_object")),
        _object("type json_schema", type=_one_of("json_schema"), json_schema=_JSON),
    ),
    stream_options=_object(include_usage=_FLAG),
)
_ITEM: Final = _any(
    _object(
        "role content",
        role=_one_of("system", "developer", "user", "assistant"),
        content=_any(
            _TEXT,
            _list(_object("type text", type=_one_of("input_text", "output_text"), text=_TEXT)),
        ),
    ),
    _object(
        "type call_id name arguments",
        type=_one_of("function_call"),
        call_id=_TEXT,
        name=_TEXT,
        arguments=_TEXT,
    ),
    _object(
        "type call_id output", type=_one_of("function_call_output"), call_id=_TEXT, output=_TEXT
    ),
)
_RESPONSE: Final = _object(
    "model input",
    model=_one_of("auto", "scrimp"),
    input=_any(_TEXT, _list(_ITEM, 1)),
    instructions=_TEXT,
    max_output_tokens=_number("max_tokens", "integer"),
    temperature=_number("temperature"),
    top_p=_number("top_p"),
    stream=_FLAG,
    tools=_list(_FUNCTION | {"required": ["type", "name"]}),
    text=_object(format=_object("type", type=_one_of("text", "json_object"))),
    reasoning=_object(effort=_TEXT),
    metadata=_JSON,
)
_SOURCE: Final = _any(
    _object("type data", type=_one_of("text", "base64"), media_type=_TEXT, data=_TEXT),
    _object("type url", type=_one_of("url"), url=_TEXT),
)
_BLOCK: Final = _any(
    _object("type text", type=_one_of("text"), text=_TEXT),
    _object("type source", type=_one_of("image", "document"), source=_SOURCE),
    _object("type id name input", type=_one_of("tool_use"), id=_TEXT, name=_TEXT, input=_JSON),
    _object("type tool_use_id", type=_one_of("tool_result"), tool_use_id=_TEXT, content=_TEXT),
    _object("type thinking signature", type=_one_of("thinking"), thinking=_TEXT, signature=_TEXT),
)
_TURNS: Final = {
    "model": _one_of("auto", "scrimp"),
    "messages": _list(
        _object(
            "role content",
            role=_one_of("user", "assistant"),
            content=_any(_TEXT, _list(_BLOCK)),
        ),
        1,
    ),
    "system": _any(_TEXT, _list(_object("type text", type=_one_of("text"), text=_TEXT))),
    "tools": _list(_object("name", name={"type": "string", "minLength": 1}, input_schema=_JSON)),
    "tool_choice": _object("type", type=_one_of("auto", "any", "none")),
    "thinking": _object(type=_TEXT, budget_tokens={"type": ["integer", "null"]}),
}
_MESSAGES: Final = _object(
    "model max_tokens messages", **_TURNS, **_sampling(), stop_sequences=_list(_TEXT)
)
_COUNTED: Final = _object("model messages", **_TURNS)
_EMBEDDING: Final = _object(
    "model input",
    model=_one_of("scrimp-encoder"),
    input=_any(_TEXT, _list(_TEXT, 1)),
    encoding_format=_one_of("float", "base64"),
)
_FEEDBACK: Final = _object(
    "response_id verdict",
    response_id={"type": "string", "minLength": 1},
    verdict=_one_of(*FeedbackKind),
    note={"type": "string", "maxLength": MAX_NOTE_CHARS},
)
_ERASURE: Final = _object(
    "user",
    user={"type": "string", "minLength": 1},
    namespace=_TEXT,
    dry_run={"type": "boolean"},
)
_POSTS: Final[Mapping[str, tuple[str, Schema]]] = {
    "/v1/chat/completions": ("OpenAI's chat completions", _CHAT),
    "/v1/responses": ("OpenAI's responses", _RESPONSE),
    "/v1/messages": ("Anthropic's messages", _MESSAGES),
    "/v1/messages/count_tokens": ("Input tokens of a message, counted or estimated", _COUNTED),
    "/v1/embeddings": ("Vectors of the built-in encoder", _EMBEDDING),
    "/v1/feedback": ("A word on an answer that was received", _FEEDBACK),
    "/scrimp/v1/erase": ("Erase what a user wrote or received", _ERASURE),
}
_GETS: Final[Mapping[str, str]] = {
    "/v1/models": "The models that may be named",
    "/v1/models/{name}": "One of them",
    "/health": "Whether calls are taken",
    "/healthz": "The same",
    "/openapi.json": "This description",
}


def description() -> dict[str, Any]:
    """Return the OpenAPI description of every address."""
    paths: dict[str, Any] = {
        path: {
            "post": {
                "summary": summary,
                "parameters": [_header(f"x-scrimp-{name}") for name in _NAMES],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": schema}},
                },
                "responses": _responses(),
            }
        }
        for path, (summary, schema) in _POSTS.items()
    }
    for path, summary in _GETS.items():
        asked: dict[str, Any] = {"summary": summary, "responses": _responses()}
        if "{name}" in path:
            name = {"name": "name", "in": "path", "required": True, "schema": _TEXT}
            asked["parameters"] = [name]
        paths[path] = {"get": asked}
    return {
        "openapi": "3.1.0",
        "info": {"title": "scrimp", "version": "v1"},
        "paths": paths,
    }


def _header(name: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": _TEXT}


def _responses() -> dict[str, Any]:
    return {"200": {"description": "the answer"}} | {
        status: {"description": words} for status, words in _ERRORS.items()
    }
