"""The service as it ships, for scenarios that take it apart: its settings, and plain requests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from classifier.artifact import ARTIFACTS, read_card
from classifier.errors import ArtifactError
from router.settings import NamespacePolicy, Settings, load
from router.types import Attribution, ChatRequest, Message, Part, Role

NAMESPACE = "benchmark"
USER = "benchmark-user"  # all texts of a run are one user's, so that personal ones may be reused


@lru_cache(maxsize=1)
def shipped_policy() -> NamespacePolicy:
    """Return the default namespace's rules on embedded defaults, whatever the environment says."""
    return shipped_settings().default_policy


def shipped_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Return the embedded defaults; ``overrides`` are values by dotted key."""
    return load(None, {}, overrides=overrides)


def complexity_card() -> Mapping[str, Any]:
    """Return the card of the shipped complexity model; empty where there is none."""
    try:
        return read_card(ARTIFACTS / "complexity", kind="complexity")
    except ArtifactError:
        return {}


def plain_request(text: str) -> ChatRequest:
    """Return a request of one user turn and nothing else: all such share a partition."""
    return ChatRequest(
        namespace=NAMESPACE,
        caller=NAMESPACE,
        messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
        attribution=Attribution(user=USER),
    )
