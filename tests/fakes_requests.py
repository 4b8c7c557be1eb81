"""Requests for tests, short to write."""

from __future__ import annotations

from typing import Any

from router.types import ChatRequest, Message, Part, Role


def message(text: str, role: Role = Role.USER) -> Message:
    """A message of one text part."""
    return Message(role=role, parts=(Part(text=text),))


def chat(text: str = "how do I cancel my plan?", **fields: Any) -> ChatRequest:
    """A request whose last message is the user's ``text``; other fields as given."""
    fields.setdefault("namespace", "acme")
    fields.setdefault("caller", "local")
    fields.setdefault("messages", (message("be brief", Role.SYSTEM), message(text)))
    return ChatRequest(**fields)
