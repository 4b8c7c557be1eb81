from __future__ import annotations

from typing import Any

import pytest
from fakes_requests import chat

from router.providers.openai_reading import StreamedAnswer, read_usage
from router.providers.openai_words import request_body
from router.providers.quirks import quirks_of
from router.types import Reasoning, Sampling, Usage


@pytest.mark.parametrize(
    ("base_url", "bound", "asks"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens", True),
        ("https://api.groq.com/openai/v1", "max_completion_tokens", True),
        ("https://me.openai.azure.com/openai/v1", "max_completion_tokens", True),
        ("https://api.together.xyz/v1", "max_tokens", False),
        ("https://api.fireworks.ai/inference/v1", "max_tokens", False),
        ("https://api.deepseek.com", "max_tokens", True),
        ("https://api.mistral.ai/v1", "max_tokens", False),
        ("https://openrouter.ai/api/v1", "max_tokens", True),
        ("http://127.0.0.1:11434/v1", "max_tokens", True),
        ("http://127.0.0.1:8000/v1", "max_tokens", True),
    ],
)
def test_the_bound_on_an_answer_has_its_name_there(base_url: str, bound: str, asks: bool) -> None:
    """And a stream's usage is asked for where it is not told unasked."""
    quirks = quirks_of(base_url)

    body = request_body("m", chat(sampling=Sampling(max_tokens=9)), quirks)

    assert {name for name in body if name.startswith("max")} == {bound}
    assert quirks.asks_for_usage is asks


def test_reasoning_models_elsewhere_keep_the_common_bound() -> None:
    """Only where it is known is it called otherwise."""
    request = chat(sampling=Sampling(max_tokens=9), reasoning=Reasoning(effort="low"))

    assert "max_completion_tokens" in request_body("m", request, quirks_of("http://h:8000/v1"))
    assert "max_tokens" in request_body("m", request, quirks_of("https://api.deepseek.com"))


def test_mistral_calls_the_seed_its_own_way() -> None:
    """It refuses fields that it does not know."""
    body = request_body(
        "m", chat(sampling=Sampling(seed=0)), quirks_of("https://api.mistral.ai/v1")
    )

    assert (body["random_seed"], "seed" in body) == (0, False)


def test_azure_takes_the_key_in_its_own_header_and_deployments_in_the_path() -> None:
    """With ``/openai/v1`` it is asked like anyone else."""
    new = quirks_of("https://me.openai.azure.com/openai/v1")
    old = quirks_of("https://me.openai.azure.com")

    assert (new.key_header, new.key_prefix, new.path) == ("api-key", "", "/chat/completions")
    assert old.path.format(model="gpt").startswith("/openai/deployments/gpt/chat/completions?api-")


@pytest.mark.parametrize(
    ("usage", "read", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, 4, 0),
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 8}, 4, 0),
        ({"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}}, 4, 3),
        ({"prompt_tokens_details": None}, 0, 0),
    ],
)
def test_cached_input_is_read_from_whichever_field(
    usage: dict[str, Any], read: int, written: int
) -> None:
    """OpenAI's, DeepSeek's, OpenRouter's."""
    found = read_usage({"prompt_tokens": 12, "completion_tokens": 5, **usage})

    assert found == Usage(
        input_tokens=12, output_tokens=5, cache_read_tokens=read, cache_write_tokens=written
    )


def test_groq_tells_a_streams_usage_in_a_field_of_its_own() -> None:
    """It is read from there, too."""
    gathered = StreamedAnswer()
    gathered.add(b'{"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}')
    gathered.add(
        b'{"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}'
    )

    assert gathered.completion().usage == Usage(input_tokens=3, output_tokens=2)
