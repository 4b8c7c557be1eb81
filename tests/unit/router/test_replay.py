from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.commands.replay import LogClock, LoggedAnswers, replay
from router.openai_body import read_body
from router.providers.openai_words import request_body
from router.replay_log import LogFile, Logged, LogUnreadable, Malformed, read_line
from router.types import (
    Answer,
    Attribution,
    ChatRequest,
    Message,
    Part,
    ResponseFormat,
    Role,
    Sampling,
    Tool,
    ToolCall,
    Usage,
)

_COMPLETION = {
    "model": "gpt-4o-mini",
    "created": 1_767_261_670,
    "choices": [{"message": {"content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 2},
}
_BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Capital of France?"}]}
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def _read(row: object) -> Logged:
    found = read_line(json.dumps(row).encode(), 1)
    assert isinstance(found, Logged), found
    return found


def _reason(row: object) -> str:
    found = read_line(row if isinstance(row, bytes) else json.dumps(row).encode(), 7)
    assert isinstance(found, Malformed)
    assert found.line == 7
    return found.reason


def _args(file: Path, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{"file": file, "config": None, "limit": None, "show": 5, "json": True, **more}
    )


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "log.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def _result(file: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> dict[str, Any]:
    assert await replay(_args(file, **more)) == 0
    out = capsys.readouterr().out
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("column", ["text", "prompt"])
def test_a_row_of_text_is_a_user_turn(column: str) -> None:
    """The simplest log: one prompt per line, with whom it is accounted to."""
    found = _read({column: "hello", "user": "u1", "feature": "chat", "output_tokens": 12})

    assert found.request.messages == (Message(role=Role.USER, parts=(Part(text="hello"),)),)
    assert found.request.attribution == Attribution(user="u1", feature="chat")
    assert (found.answer, found.output_tokens, found.model) == (None, 12, "")


@pytest.mark.parametrize(
    "row",
    [
        _BODY,
        {"body": _BODY, "custom_id": "1", "method": "POST", "url": "/v1/chat/completions"},
        {"request": _BODY},
        {"request": {"body": _BODY}},
        {**_BODY, "user": "u1", "timestamp": 1, "conversation": "c"},
    ],
)
def test_bodies_are_found_wherever_logs_put_them(row: dict[str, Any]) -> None:
    """All these lines ask the same of the same model; what is the log's own is not in the key."""
    found = _read(row)

    assert found.request.messages == _read(_BODY).request.messages
    assert found.request.extra == {}
    assert found.model == "gpt-4o"


@pytest.mark.parametrize("response", [_COMPLETION, {"status_code": 200, "body": _COMPLETION}])
def test_answer_usage_model_and_time_come_from_the_response(response: dict[str, Any]) -> None:
    """A log that holds completions needs no estimates."""
    found = _read({"request": _BODY, "response": response})

    assert found.answer == Answer(text="Paris.")
    assert found.usage == Usage(input_tokens=20, output_tokens=2)
    assert found.model == "gpt-4o-mini"


@pytest.mark.parametrize(
    "time",
    [1_767_261_600, 1_767_261_600.0, 1_767_261_600_000, "1767261600", 1_767_261_600 * 10**9,
     "2026-01-01T10:00:00Z", "2026-01-01T12:00:00+02:00", "2026-01-01 10:00:00"],
)  # fmt: skip
def test_times_are_read_in_every_usual_unit(time: object) -> None:
    """Seconds, milliseconds, nanoseconds and ISO 8601 are told apart by themselves."""
    assert _read({"text": "x", "timestamp": time}).at_s == 1_767_261_600


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([1], "saw list"),
        ({"question": "x"}, "none of text, prompt"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role is 'nobody'"),
        ({"messages": [{"role": "user", "content": 5}]}, "expected a list"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "hologram"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "\ud800"}, "no valid Unicode"),
        ({"text": "x", "timestamp": "yesterday"}, "expected seconds"),
        ({"text": "x", "timestamp": float("inf")}, "expected seconds"),
        ({"text": "x", "user": "a\nb"}, "printable"),
        ({**_BODY, "temperature": "hot"}, "temperature is 'hot'"),
        ({"request": _BODY, "response": {"error": {"message": "no"}}}, "has no answer"),
    ],
)
def test_a_row_that_cannot_be_replayed_says_why(row: object, words: str) -> None:
    """Odd rows are counted with their reason; none of them ends the replay."""
    assert words in _reason(row)


@given(
    text=_TEXTS,
    system=_TEXTS,
    temperature=st.none() | st.floats(0, 2),
    most=st.none() | st.integers(1, 9_000),
    extra=st.dictionaries(st.sampled_from(["verbosity", "service_tier"]), st.integers()),
)
def test_reading_undoes_writing(
    text: str, system: str, temperature: float | None, most: int | None, extra: dict[str, int]
) -> None:
    """What we would post, read back, is the same request: nothing of the key is lost or added."""
    request = ChatRequest(
        namespace="n",
        caller="c",
        messages=(
            Message(role=Role.SYSTEM, parts=(Part(text=system),)),
            Message(
                role=Role.ASSISTANT,
                tool_calls=(ToolCall(id="1", name="f", arguments_json='{"a": 1}'),),
            ),
            Message(role=Role.TOOL, parts=(Part(text=text),), tool_call_id="1"),
            Message(
                role=Role.USER,
                parts=(Part(text=text), Part(media_type="image/png", data=b"\x89PNG")),
            ),
        ),
        tools=(Tool(name="f", parameters_json='{"type": "object"}', is_strict=True),),
        tool_choice_json='"auto"',
        response_format=ResponseFormat(kind="json_schema", schema_json='{"name": "s"}'),
        sampling=Sampling(temperature=temperature, max_tokens=most, stop=("\n",), seed=3),
        extra={name: json.dumps(value) for name, value in extra.items()},
    )

    body = json.loads(json.dumps(request_body("m", request)))

    assert request == read_body(body, namespace="n", caller="c", attribution=Attribution())


def test_the_clock_follows_the_log_and_never_goes_back() -> None:
    """Answers age as they would have; a row out of order does not make them younger."""
    clock = LogClock()

    for at_s in (100.0, None, 200.0, 150.0):
        clock.follow(at_s)

    assert clock() == 200.0
    assert (clock.span_s, clock.n_out_of_order) == ((100.0, 200.0), 1)


def test_tokens_are_the_logs_own_or_a_stated_estimate() -> None:
    """Usage beats lengths, lengths beat texts, texts beat the assumption; each says which it is."""
    answers = LoggedAnswers(300)
    rows = [
        {"request": _BODY, "response": _COMPLETION},
        {"text": "abcdefgh", "output_tokens": 9, "answer": "long answer"},
        {"text": "abcdefgh", "answer": "abcd"},
        {"text": "abcdefgh"},
    ]

    found = [answers.usage(_read(row)) for row in rows]

    assert [(usage.input_tokens, usage.output_tokens) for usage, _ in found] == [
        (20, 2), (2, 9), (2, 1), (2, 300),
    ]  # fmt: skip
    assert [source for _, source in found] == ["the log", "its lengths", "its texts", "assumption"]


def test_gzipped_logs_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    """A file cut short is an error, not a shorter log."""
    path = tmp_path / "log.jsonl.gz"
    packed = gzip.compress(b'{"text": "a"}\n\n{"text": "b"}\n')
    path.write_bytes(packed)

    with LogFile(path) as log:
        assert [row.line for row in log] == [1, 3]
        assert log.n_read == len(packed)
    path.write_bytes(packed[:-6])
    with LogFile(path) as log, pytest.raises(LogUnreadable, match="cannot be read after line"):
        list(log)


async def test_a_repeat_is_served_and_accounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two equal prompts costs nothing; near hits are listed by line, without text."""
    file = _file(
        tmp_path,
        {"text": "how do i export an invoice", "answer": "Click export.", "model": "gpt-4o"},
        "not json",
        {"text": "how do i export an invoice", "answer": "Click export.", "model": "gpt-4o"},
        {"text": "How do I export an invoice?", "answer": "Click export.", "model": "gpt-4o"},
    )

    found = await _result(file, capsys)

    totals = found["savings"]["totals"]
    assert totals["n_by_outcome"] == {"miss": 1, "exact": 1, "near": 1}
    assert totals["cost_nanos"] + totals["saved_nanos"] == totals["baseline_nanos"]
    assert (found["rows"], found["malformed"], found["malformed_first"][0]["line"]) == (3, 1, 2)
    (hit,) = found["near_hits"]
    assert (hit["line"], hit["stored_line"]) == (4, 1)
    assert found["as_logged"]["rows_priced"] == 3
    assert "invoice" not in json.dumps(found)


async def test_an_answer_older_than_its_life_is_not_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time is the log's: what was asked again after a month had to be asked anew."""
    file = _file(
        tmp_path,
        {"text": "how do i export an invoice", "timestamp": "2026-01-01T00:00:00Z"},
        {"text": "how do i export an invoice", "timestamp": "2026-02-01T00:00:00Z"},
    )

    found = await _result(file, capsys)

    assert found["savings"]["totals"]["n_by_outcome"] == {"miss": 2}


async def test_the_near_hits_are_shown_to_the_eye(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked and stored text side by side, and what the estimate rests on."""
    file = _file(
        tmp_path,
        {"text": "how do i export an invoice"},
        {"text": "How do I export an invoice?"},
    )

    assert await replay(_args(file, json=False)) == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "asked 2 How do I export an invoice?" in shown
    assert "stored 1 how do i export an invoice" in shown
    assert "no model was called" in shown
    assert "an unknown answer as 300 tokens" in shown


async def test_a_limit_ends_the_replay_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A glance at a large log is cheap."""
    file = _file(tmp_path, *({"text": f"what is {n} plus {n}"} for n in range(9)))

    assert (await _result(file, capsys, limit=2))["rows"] == 2


@pytest.mark.parametrize("rows", [[], ["x", "y"], [{"question": "?"}]])
async def test_a_file_without_usable_rows_exits_2(
    rows: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing could be replayed: that is no saving of 0, it is an unusable file."""
    assert await replay(_args(_file(tmp_path, *rows))) == 2

    assert "no row that can be replayed" in capsys.readouterr().err


async def test_a_missing_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the file."""
    assert await replay(_args(tmp_path / "none.jsonl")) == 2

    assert "none.jsonl cannot be opened" in capsys.readouterr().err
