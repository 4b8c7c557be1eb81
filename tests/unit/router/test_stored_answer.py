from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.stored_answer import pack, unpack
from router.types import Answer, Completion, ToolCall, Usage

counts = st.integers(0, 10**9)
words = st.text(max_size=40)


@given(
    text=words,
    finish=words,
    refusal=words,
    calls=st.lists(st.tuples(words, words, words), max_size=3),
    model=words,
    read=counts,
    more=counts,
    output=counts,
)
def test_an_answer_comes_back_as_it_was_kept(
    text: str,
    finish: str,
    refusal: str,
    calls: list[tuple[str, str, str]],
    model: str,
    read: int,
    more: int,
    output: int,
) -> None:
    """Whatever a model said is replayed to the letter, with what it took."""
    usage = Usage(input_tokens=read + more, output_tokens=output, cache_read_tokens=read)
    completion = Completion(
        answer=Answer(
            text=text,
            finish_reason=finish,
            refusal=refusal,
            tool_calls=tuple(ToolCall(id=i, name=n, arguments_json=a) for i, n, a in calls),
        ),
        usage=usage,
        provider_model=model,
    )

    back = unpack(pack(completion), input_tokens=read + more, output_tokens=output)

    assert back == completion


def test_an_answers_own_words_are_kept_and_those_of_its_call_are_not() -> None:
    """Thoughts are the answer's, a tier was the call's; calls keep their further fields."""
    own = {"openai": {"message": {"reasoning_content": "Hm."}, "call": {"body": {"tier": "flex"}}}}
    call = ToolCall(id="c", name="f", arguments_json="{}", extra_json='{"signature": "s"}')
    answer = Answer(text="yes", tool_calls=(call,), extra_json=json.dumps(own))

    back = unpack(pack(Completion(answer=answer, usage=None)), input_tokens=1, output_tokens=1)

    assert json.loads(back.answer.extra_json) == {"openai": {"message": own["openai"]["message"]}}
    assert back.answer.tool_calls == (call,)


def test_a_plain_answer_is_kept_as_it_always_was() -> None:
    """Ten fields: what an earlier version wrote is read, and the other way round."""
    kept = pack(Completion(answer=Answer(text="yes"), usage=None))

    assert len(json.loads(kept)) == 10
    assert unpack(kept, input_tokens=None, output_tokens=None).answer == Answer(text="yes")


def test_unknown_usage_stays_unknown() -> None:
    """What nobody counted is not 0."""
    kept = pack(Completion(answer=Answer(text="yes"), usage=None))

    assert unpack(kept, input_tokens=None, output_tokens=None).usage is None


@pytest.mark.parametrize("kept", [b"", b"{}", b"[2,3]", b"not json"], ids=repr)
def test_bytes_of_another_format_are_refused(kept: bytes) -> None:
    """Damage is noticed before it is served."""
    with pytest.raises(ValueError, match=r"stored answer|Expecting"):
        unpack(kept, input_tokens=1, output_tokens=1)
