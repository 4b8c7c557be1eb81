"""Text to canonical text: what two prompts must share to be the same prompt.

Only what never changes a meaning is removed: the way characters are composed and how much white
space stands between words. Case and punctuation stay: "polish" and "Polish" differ.
"""

from __future__ import annotations

from unicodedata import normalize


def canonical(text: str) -> str:
    """Return ``text`` in NFC, trimmed, every run of white space collapsed to one space.

    Idempotent. White space is what ``str.isspace`` says, so no-break spaces and line ends count.
    """
    if not text.isascii():
        text = normalize("NFC", text)
    return " ".join(text.split())
