"""Which answers fall short for certain, and who is asked instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.escalation import shortfall, stronger
from router.types import (
    Answer,
    Candidate,
    ChatRequest,
    Completion,
    Message,
    Part,
    ResponseFormat,
    Role,
    Routing,
    Sampling,
    Tool,
    ToolCall,
    Usage,
)

SCHEMA = '{"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}'
WRAPPED = '{"name": "place", "strict": true, "schema": ' + SCHEMA + "}"
WEATHER = Tool(name="weather", parameters_json=SCHEMA)


def asked(
    form: ResponseFormat = ResponseFormat(),  # noqa: B008  frozen
    tools: tuple[Tool, ...] = (),
    max_tokens: int | None = None,
) -> ChatRequest:
    return ChatRequest(
        namespace="n",
        caller="c",
        messages=(Message(role=Role.USER, parts=(Part(text="where?"),)),),
        tools=tools,
        response_format=form,
        sampling=Sampling(max_tokens=max_tokens),
    )


def said(text: str, finish: str = "stop", calls: tuple[ToolCall, ...] = ()) -> Completion:
    answer = Answer(text=text, finish_reason=finish, tool_calls=calls)
    return Completion(answer=answer, usage=Usage(input_tokens=5, output_tokens=20))


def called(name: str, arguments: str) -> Completion:
    return said("", "tool_calls", (ToolCall(id="1", name=name, arguments_json=arguments),))


@pytest.mark.parametrize(
    ("request_", "completion", "lack"),
    [
        (asked(), said("In Rome."), ""),
        (asked(), said("  "), "empty"),
        (asked(), said("In Ro", "length"), "truncated"),
        (asked(max_tokens=20), said("In Ro", "length"), ""),
        (asked(max_tokens=400), said("In Ro", "length"), "truncated"),
        (asked(), said("I'm sorry, but I can't help with that."), "a refusal"),
        (asked(), said("No.", "refusal"), "a refusal"),
        (asked(ResponseFormat(kind="json_object")), said('{"city": 1}'), ""),
        (asked(ResponseFormat(kind="json_object")), said("[1]"), "malformed JSON"),
        (asked(ResponseFormat(kind="json_object")), said("Sure! {}"), "malformed JSON"),
        (asked(ResponseFormat(kind="json_schema", schema_json=WRAPPED)), said("{}"),
         "incomplete JSON"),
        (asked(ResponseFormat(kind="json_schema", schema_json=SCHEMA)), said("{}"),
         "incomplete JSON"),
        (asked(ResponseFormat(kind="json_schema", schema_json="[")), said("{}"), ""),
        (asked(tools=(WEATHER,)), called("weather", '{"city": "Rome"}'), ""),
        (asked(tools=(WEATHER,)), called("weather", "{}"), "an incomplete tool call"),
        (asked(tools=(WEATHER,)), called("weather", "city=Rome"), "a malformed tool call"),
        (asked(tools=(WEATHER,)), called("wether", "{}"), "a call of an unknown tool"),
        (asked(), called("web_search", "{}"), ""),
    ],
)  # fmt: skip
def test_only_what_is_certain_is_a_shortfall(
    request_: ChatRequest, completion: Completion, lack: str
) -> None:
    """Form and ending, never content; and what the next model could not do better is none."""
    assert shortfall(request_, completion) == lack


@given(text=st.text(), arguments=st.text(), schema=st.text())
def test_no_answer_is_too_odd_to_be_looked_at(text: str, arguments: str, schema: str) -> None:
    """Whatever a model says, and whatever schema an app sends."""
    form = ResponseFormat(kind="json_schema", schema_json=schema)
    tools = (Tool(name="t", parameters_json=schema),)

    assert isinstance(shortfall(asked(form), said(text)), str)
    assert isinstance(shortfall(asked(tools=tools), called("t", arguments)), str)


def test_only_models_more_probably_adequate_are_asked_instead() -> None:
    """In the order of the chain, whose models fit and are allowed."""
    p = {"small": 0.5, "medium": 0.8, "weak": 0.4, "large": 0.9, "too_dear": 0.99}
    routing = Routing(
        chain=("small", "weak", "medium", "large"),
        candidates=tuple(
            Candidate(model=name, p_adequate=one, expected_cost_nanos=1) for name, one in p.items()
        ),
        reason="",
        quality_target=0.95,
        scorer="s",
    )

    assert stronger(routing, "small") == ("medium", "large")
    assert stronger(routing, "large") == ()
