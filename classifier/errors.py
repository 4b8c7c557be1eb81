"""What may go wrong among the small models.

ClassifierError
├── ArtifactError   a model's files are missing, damaged or made for something else
├── Overloaded      too many calls wait already; the caller should shed load
└── BatcherClosed   the room is being torn down; no further call is taken
"""

from __future__ import annotations


class ClassifierError(Exception):
    """Any failure of this room; the service answers without the model and counts it."""


class ArtifactError(ClassifierError):
    """An artifact cannot be used: what was seen, what was expected, and what to do."""

    def __init__(self, *, seen: str, expected: str, remedy: str) -> None:
        """Keep the three parts, so that a report can show them apart."""
        super().__init__(f"{seen}; expected {expected}; {remedy}")
        self.seen = seen
        self.expected = expected
        self.remedy = remedy


class Overloaded(ClassifierError):
    """More calls wait than the batcher was told to hold: the machine is too small or too busy."""


class BatcherClosed(ClassifierError):
    """The batcher was closed before this call ran: our side is shutting down."""
