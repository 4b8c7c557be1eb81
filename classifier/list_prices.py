"""List prices of models that training knows, from which the prior for unknown ones is fitted.

US dollars per million tokens (input, output): the makers' own lists, and for open weights the list
of Together AI, as the package genai-prices 0.2.3 has them. Facts of 2024: a newer model of the same
price is mostly abler, so the prior leans towards calling a new cheap model too weak, which costs
money and not quality.
"""

from __future__ import annotations

from typing import Final

LIST_PRICES: Final[dict[str, tuple[float, float]]] = {
    "claude-3-haiku": (0.25, 1.25),
    "claude-3-opus": (15.0, 75.0),
    "claude-3-sonnet": (3.0, 15.0),
    "claude-3.5-haiku": (0.8, 4.0),
    "claude-3.5-sonnet": (3.0, 15.0),
    "gemini-1.5-flash": (0.075, 0.3),
    "gemini-1.5-pro": (1.25, 5.0),
    "gpt-3.5-turbo": (0.5, 1.5),
    "gpt-4": (30.0, 60.0),
    "gpt-4-turbo": (10.0, 30.0),
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
    "grok-2": (2.0, 10.0),
    "llama-3-70b": (0.88, 0.88),
    "llama-3-8b": (0.2, 0.2),
    "llama-3.1-405b": (3.5, 3.5),
    "llama-3.1-70b": (0.88, 0.88),
    "llama-3.1-8b": (0.18, 0.18),
    "mistral-7b": (0.2, 0.2),
    "mistral-large": (2.0, 6.0),
    "mixtral-8x7b": (0.9, 0.9),
    "o-1": (15.0, 60.0),
    "o-1-mini": (1.1, 4.4),
    "yi-34b": (0.8, 0.8),
    "yi-6b": (0.2, 0.2),
}
