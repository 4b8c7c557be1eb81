"""What both faces go by, made of one reading of the settings.

A call takes the desk of the moment in which it comes, and keeps it to its end: whose key it is,
what its model's name means and what it is priced at are never of two readings.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass

from router.faces.contract import Contract
from router.faces.http.names import ModelNames
from router.faces.keys import Keys
from router.settings import HttpTable, Limits
from router.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Desk:
    """Attributes: the terms, and what the faces read of their settings."""

    terms: Terms
    keys: Keys
    names: ModelNames
    contract: Contract
    limits: Limits
    http: HttpTable

    def held(self) -> AbstractContextManager[None]:
        """Keep what a call needs while the block runs."""
        return self.terms.fallback.held()


def desk_of(terms: Terms, stopping: asyncio.Event) -> Desk:
    """Return the desk of some terms; ``stopping`` ends the streams that would go on for ever."""
    settings = terms.settings
    return Desk(
        terms=terms,
        keys=Keys(settings.access_keys, are_wanted=settings.wants_keys),
        names=ModelNames(settings),
        contract=Contract(
            terms.gateway,
            terms.advisor,
            terms.operations,
            settings.limits,
            models=settings.models,
            stopping=stopping,
        ),
        limits=settings.limits,
        http=settings.http,
    )


class Desks:
    """Attributes: ``now``: the desk of calls that come now, put in its place as one.

    settings_state: how the settings in use stand to their file, as health tells it.
    """

    def __init__(self, first: Desk) -> None:
        self.now = first
        self.settings_state = "current"
