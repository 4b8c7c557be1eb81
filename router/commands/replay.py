"""``scrimp replay``: what past traffic would have saved, and with which hits. Calls no one.

The rows go through cache and router one after another, as they came: the service's own parts,
built in this process on an empty folder, with the log's answers in place of the providers'. Where
the log tells times, the clock follows them, so that an answer's life and "regenerate" act as they
would have.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cache.errors import CacheError
from router.app import App, build
from router.commands.replay_report import NearHit, Replayed, malformed_words, result, tables
from router.errors import RouterError
from router.gateway import Answered
from router.ledger.errors import LedgerError
from router.ledger.types import LedgerLine, Outcome, SavingsQuery
from router.ports import ModelCall
from router.providers.scripted import n_tokens
from router.replay_log import LogFile, Logged, LogUnreadable, Malformed
from router.settings import Settings, SettingsError, load
from router.types import Answer, ChatRequest, Completion, Mode, Usage

_NO_ANSWER = Answer(text="(the log holds no answer)")
_MAX_KEPT_MALFORMED = 5
_GIVE_UP_AFTER = 1_000  # rows from the start of which none can be replayed
_KEPT_CHARS = 300


async def replay(args: argparse.Namespace) -> int:
    """Replay a file; see the module's docstring.

    Args:
        args: ``file``, ``config`` (None: as ``load`` finds it), ``limit`` (None: all rows),
            ``show`` (near-duplicate hits to list), ``json``.

    Returns:
        The exit status: 0; 1 when settings or parts do not allow it; 2 for an unusable file.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="scrimp-replay-") as folder:
            settings = load(
                args.config,
                os.environ,
                overrides={"service.data_folder": folder, "service.mode": Mode.ON.value},
            )
            found = await _replayed(args.file, settings.unaudited(), args.limit)
    except LogUnreadable as error:
        _say(str(error))
        return 2
    except (SettingsError, CacheError, LedgerError, OSError) as error:
        _say(str(error))
        return 1
    if args.json:
        json.dump(result(found), sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        Console(highlight=False).print(tables(found, args.show))
    return 0


class LogClock:
    """Stands where the log stands; never goes back. Without times in the log it goes as ours."""

    def __init__(self) -> None:
        self.span_s: tuple[float, float] | None = None
        self.n_out_of_order = 0

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        return time.time() if self.span_s is None else self.span_s[1]

    def follow(self, at_s: float | None) -> None:
        """Move to a row's time."""
        if at_s is None:
            return
        first, last = self.span_s or (at_s, at_s)
        self.n_out_of_order += at_s < last
        self.span_s = first, max(last, at_s)


class LoggedAnswers:
    """Stands in for every provider: answers as the log does, calling no one.

    Args:
        expected_output_tokens: assumed where the log tells neither usage nor answer.
    """

    def __init__(self, expected_output_tokens: int) -> None:
        self._expected_output_tokens = expected_output_tokens
        self.playing: Logged | None = None

    async def complete(self, call: ModelCall) -> Completion:
        """Return the answer of the row that is being played."""
        assert self.playing is not None
        answer = self.playing.answer or _NO_ANSWER
        usage, _ = self.usage(self.playing)
        return Completion(answer=answer, usage=usage, provider_model=call.model)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def usage(self, logged: Logged) -> tuple[Usage, str]:
        """Return a row's usage, and how it is known."""
        if logged.usage is not None:
            return logged.usage, "the log"
        n_input = n_tokens(_all_text(logged.request))
        if logged.output_tokens is not None:
            return Usage(input_tokens=n_input, output_tokens=logged.output_tokens), "its lengths"
        if logged.answer is not None:
            n_output = n_tokens(logged.answer.text)
            return Usage(input_tokens=n_input, output_tokens=n_output), "its texts"
        return (
            Usage(input_tokens=n_input, output_tokens=self._expected_output_tokens),
            "assumption",
        )


async def _replayed(path: Path, settings: Settings, limit: int | None) -> Replayed:
    clock = LogClock()
    answers = LoggedAnswers(settings.routing.expected_output_tokens)
    with LogFile(path) as log:
        app = build(settings, dict.fromkeys(settings.providers, answers), now_s=clock)
        async with app:
            for namespace in settings.policies:
                await app.operations.set_mode(namespace, Mode.ON)
            player = Player(app, answers, clock)
            with _progress(log) as advance:
                for row in log:
                    if limit is not None and player.found.n_rows >= limit:
                        break
                    await player.play(row)
                    advance()
            found = player.found
            if not found.n_rows:
                raise LogUnreadable(_nothing_in(path, found))
            found.savings = await app.ledger.savings(SavingsQuery())
            found.notices = list(app.notices)
    found.span_s, found.n_out_of_order = clock.span_s, clock.n_out_of_order
    found.expected_output_tokens = settings.routing.expected_output_tokens
    return found


class Player:
    """Sends rows through the service's parts, one after another."""

    def __init__(self, app: App, answers: LoggedAnswers, clock: LogClock) -> None:
        self._app = app
        self._answers = answers
        self._clock = clock
        self._makers: dict[int, tuple[int, str]] = {}
        self.found = Replayed()

    async def play(self, row: Logged | Malformed) -> None:
        """Replay a row.

        Raises:
            LogUnreadable: nothing of so many rows could be replayed.
        """
        found = self.found
        if isinstance(row, Malformed):
            found.n_malformed += 1
            found.malformed += [row] if len(found.malformed) < _MAX_KEPT_MALFORMED else []
            if found.n_malformed >= _GIVE_UP_AFTER and not found.n_rows:
                raise LogUnreadable(_nothing_in(Path("the file"), found))
            return
        found.n_rows += 1
        self._clock.follow(row.at_s)
        self._answers.playing = row
        try:
            answered = await self._answered(row.request)
        except RouterError as error:
            found.n_failed[str(error)[:_KEPT_CHARS]] += 1
            return
        self._note(row, answered.line)

    async def _answered(self, request: ChatRequest) -> Answered:
        async for event in self._app.gateway.complete(request, None, is_streamed=False):
            if isinstance(event, Answered):
                return event
        raise AssertionError("a gateway request ends with its answer, or raises")

    def _note(self, row: Logged, line: LedgerLine) -> None:
        found = self.found
        usage, known_from = self._answers.usage(row)
        cost = self._app.settings.prices.cost_nanos(row.model, usage) if row.model else None
        if cost is not None and known_from != "assumption":
            found.n_logged_priced += 1
            found.logged_cost_nanos += cost
        text = row.request.messages[-1].own_text[:_KEPT_CHARS]
        if line.outcome in (Outcome.MISS, Outcome.BYPASS):
            found.usage_from[known_from] += 1
            if line.entry_id:
                self._makers[line.entry_id] = (row.line, text)
        elif line.outcome is Outcome.NEAR:
            stored_line, stored = self._makers.get(line.entry_id, (0, ""))
            found.note_near(
                NearHit(
                    row.line, stored_line, line.similarity or 0.0, line.p_right or 0.0, text, stored
                )
            )


def _nothing_in(path: Path, found: Replayed) -> str:
    words = "\n".join(malformed_words(found))
    return f"{path} holds no row that can be replayed" + (f"\n{words}" if words else "")


def _all_text(request: ChatRequest) -> str:
    return "\n".join(part.text for message in request.messages for part in message.parts)


@contextmanager
def _progress(log: LogFile) -> Iterator[Any]:
    console = Console(stderr=True)
    with Progress(
        TextColumn("replaying"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=max(1, log.n_bytes))
        yield lambda: progress.update(task, completed=log.n_read)


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
        f"scrimp replay: {sentence}"
    )
