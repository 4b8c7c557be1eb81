"""An answer as the cache keeps it: bytes that mean the same in every version to come.

A JSON array: format version, the provider's model name, cached input tokens read and written, then
the answer's fields in a fixed order. What an answer does not have of the last ones is left out.
"""

from __future__ import annotations

import json

from router.own_words import kept as kept_words
from router.types import Answer, Completion, ToolCall, Usage

_VERSION = 1


def pack(completion: Completion) -> bytes:
    """Return the bytes to keep."""
    answer, usage = completion.answer, completion.usage
    own_words = kept_words(answer.extra_json)
    return json.dumps(
        [
            _VERSION,
            completion.provider_model,
            usage.cache_read_tokens if usage else 0,
            usage.cache_write_tokens if usage else 0,
            answer.text,
            answer.finish_reason,
            [
                [call.id, call.name, call.arguments_json, *filter(None, [call.extra_json])]
                for call in answer.tool_calls
            ],
            answer.refusal,
            answer.extra_choices_json,
            answer.logprobs_json,
            *filter(None, [own_words]),
        ],
        separators=(",", ":"),
    ).encode()


def unpack(kept: bytes, *, input_tokens: int | None, output_tokens: int | None) -> Completion:
    """Return the completion; its usage is that of the call that made it.

    Raises:
        ValueError: the bytes are of another version or damaged.
    """
    fields = json.loads(kept.decode())
    if not isinstance(fields, list) or len(fields) not in (10, 11) or fields[0] != _VERSION:
        raise ValueError(
            f"a stored answer of format {_VERSION} is expected, found {len(kept)} bytes of "
            f"another; invalidate it"
        )
    _, provider_model, read, written, text, finish, calls, refusal, choices, logprobs, *own = fields
    usage = None
    if input_tokens is not None and output_tokens is not None:
        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )
    answer = Answer(
        text=text,
        finish_reason=finish,
        tool_calls=tuple(
            [
                ToolCall(id=i, name=name, arguments_json=arguments, extra_json="".join(more))
                for i, name, arguments, *more in calls
            ]
        ),
        refusal=refusal,
        extra_choices_json=choices,
        logprobs_json=logprobs,
        extra_json="".join(own),
    )
    return Completion(answer=answer, usage=usage, provider_model=provider_model)
