"""Where servers that speak chat completions differ from what most of them do, by base URL.

What stands here is what their API references say: OpenAI, Azure OpenAI, Groq, Together, Fireworks,
DeepSeek, Mistral, OpenRouter, Ollama. Whoever is not listed gets the common form, vLLM among them.
Usage is read from whichever field a server uses, without a table (``openai.read_usage``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_AZURE_VERSION: Final = "2024-10-21"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How one server wants to be asked.

    Attributes:
        key_header: carries the key.
        key_prefix: before the key.
        path: behind the base URL; ``{model}`` is the model's name.
        max_tokens: what the bound on the answer is called.
        max_tokens_thinking: the same, where the model is asked to think.
        seed: what the seed is called.
        asks_for_usage: a stream tells its usage only where ``stream_options`` asks; the others tell
            it unasked, and some of them refuse the question.
    """

    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    path: str = "/chat/completions"
    max_tokens: str = "max_tokens"
    max_tokens_thinking: str = "max_completion_tokens"
    seed: str = "seed"
    asks_for_usage: bool = True


_COMMON: Final = Quirks()
_MODERN: Final = Quirks(max_tokens="max_completion_tokens")
_TELLS_UNASKED: Final = Quirks(asks_for_usage=False, max_tokens_thinking="max_tokens")
_AZURE: Final = Quirks(key_header="api-key", key_prefix="", max_tokens="max_completion_tokens")
_AZURE_DEPLOYMENTS: Final = Quirks(
    key_header="api-key",
    key_prefix="",
    path=f"/openai/deployments/{{model}}/chat/completions?api-version={_AZURE_VERSION}",
    max_tokens="max_completion_tokens",
)

_BY_HOST: Final = {
    "api.openai.com": _MODERN,
    "api.groq.com": _MODERN,
    "api.together.xyz": _TELLS_UNASKED,
    "api.together.ai": _TELLS_UNASKED,
    "api.fireworks.ai": _TELLS_UNASKED,
    "api.deepseek.com": Quirks(max_tokens_thinking="max_tokens"),
    "api.mistral.ai": Quirks(
        asks_for_usage=False, max_tokens_thinking="max_tokens", seed="random_seed"
    ),
    "openrouter.ai": Quirks(max_tokens_thinking="max_tokens"),
}
_AZURE_HOSTS: Final = (
    ".openai.azure.com",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
)
_OLLAMA_PORT: Final = 11434


def quirks_of(base_url: str) -> Quirks:
    """Return how the server behind a base URL wants to be asked.

    An Azure resource is given with ``/openai/v1`` (the model is the deployment's name in the body)
    or bare (the deployment stands in the path).
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host.endswith(_AZURE_HOSTS):
        return _AZURE if parts.path.rstrip("/").endswith("/v1") else _AZURE_DEPLOYMENTS
    if parts.port == _OLLAMA_PORT:
        return Quirks(max_tokens_thinking="max_tokens")
    return _BY_HOST.get(host, _COMMON)
