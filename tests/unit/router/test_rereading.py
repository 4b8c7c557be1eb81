"""When the settings file is read again, what is done with it, and what is told of that."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest

from router.metrics import Metrics
from router.rereading import Reading, Rereading, SettingsState
from router.settings import Mistake, Settings, SettingsError, parse
from router.types import Mode

ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
FIRST = "[routing]\nquality_target = 0.9\n"
OTHER = "[routing]\nquality_target = 0.8\n"
WRONG = "[routing]\nquality_target = 7.0\n"


@dataclass
class World:
    """A file as it stands, and the settings in use."""

    content: str = FIRST
    settings: Settings = field(default_factory=lambda: parse(FIRST, ENVIRON))
    modes: dict[str, Mode] = field(default_factory=dict)
    states: list[SettingsState] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    n_switches: int = 0
    n_parsed: int = 0
    is_gone: bool = False

    def text(self) -> str:
        if self.is_gone:
            raise SettingsError([Mistake(key="", seen="no file", expected="one", remedy="look")])
        return self.content

    def parse(self, text: str) -> Settings:
        self.n_parsed += 1
        return parse(text, ENVIRON)

    async def switch(self, settings: Settings) -> None:
        self.settings = settings
        self.n_switches += 1

    async def let_go(self) -> None:
        """Nothing to let go of."""

    def made(self) -> Rereading:
        return Rereading(
            self,
            in_use=lambda: self.settings,
            switch=self.switch,
            let_go=self.let_go,
            mode_set=self.modes.get,
            tell=self.states.append,
            metrics=self.metrics,
        )

    async def tested(self) -> Rereading:
        """Return what has seen the file as it was at the start."""
        made = self.made()
        await made.look(is_asked=True)
        self.n_switches = 0
        return made

    def state(self) -> SettingsState:
        return self.states[-1]

    def shown(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)

    def readings(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "scrimp_settings_readings_total", {"outcome": outcome}
        )


async def test_a_change_is_taken_once_it_has_settled() -> None:
    """Whoever writes may be in the middle of it: two looks in a row must see the same."""
    world = World()
    tested = await world.tested()

    world.content = "[routing]\n"
    assert await tested.look() is None
    world.content = OTHER
    assert await tested.look() is None
    assert world.n_switches == 0
    assert await tested.look() is Reading.APPLIED
    assert await tested.look() is None

    assert world.settings.routing.quality_target == 0.8
    assert world.n_switches == 1


async def test_the_first_look_is_no_news_unless_the_file_changed_since_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A service takes a second to start, and its operator may be quick."""
    for content, found in ((FIRST, None), (OTHER, Reading.APPLIED)):
        world = World(content=content)
        tested = world.made()
        with caplog.at_level(logging.INFO):
            assert [await tested.look() for _ in range(3)] == [None, found, None]
        assert bool(caplog.messages) is (found is not None)


async def test_asked_to_it_reads_at_once() -> None:
    """As SIGHUP does."""
    world = World()
    tested = await world.tested()
    world.content = OTHER

    assert await tested.look(is_asked=True) is Reading.APPLIED
    assert await tested.look(is_asked=True) is Reading.UNCHANGED


async def test_mistakes_change_nothing_and_are_told_once_with_line_and_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing of such a file holds; put right, all of it does."""
    world = World()
    tested = await world.tested()
    world.content = WRONG + "max_chain = 2\n"

    with caplog.at_level(logging.ERROR):
        found = [await tested.look() for _ in range(4)]

    assert found == [None, Reading.REFUSED, None, None]
    assert world.n_switches == 0
    (line,) = caplog.messages
    assert "line 2: routing.quality_target" in line
    assert "7.0" in line
    assert world.state() is SettingsState.REFUSED
    assert world.shown("scrimp_settings_refused") == 1
    assert world.readings("refused") == 1

    world.content = OTHER
    await tested.look()
    assert await tested.look() is Reading.APPLIED
    assert world.state() is SettingsState.CURRENT
    assert world.shown("scrimp_settings_refused") == 0


async def test_a_file_with_mistakes_is_read_once_until_it_changes() -> None:
    """It is looked at every second, and may be wrong for days."""
    world = World()
    tested = await world.tested()
    world.content = WRONG
    for _ in range(2):
        await tested.look()
    n_parsed = world.n_parsed
    for _ in range(5):
        assert await tested.look() is None
    assert world.n_parsed == n_parsed

    world.content = WRONG + "\n"
    for _ in range(5):
        await tested.look()
    assert world.n_parsed == n_parsed + 1
    assert await tested.look(is_asked=True) is Reading.REFUSED
    world.content = OTHER
    assert [await tested.look() for _ in range(2)] == [None, Reading.APPLIED]


async def test_a_file_put_back_as_it_was_ends_the_complaint() -> None:
    """Nothing is new, and nothing is wrong any more."""
    world = World()
    tested = await world.tested()
    world.content = WRONG
    await tested.look()
    await tested.look()

    world.content = FIRST
    await tested.look()
    assert await tested.look() is Reading.UNCHANGED
    assert world.state() is SettingsState.CURRENT


async def test_a_file_that_is_gone_for_a_moment_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some editors take the old file away before they put the new one there."""
    world = World()
    tested = await world.tested()

    world.is_gone = True
    assert await tested.look() is None
    world.is_gone = False
    assert await tested.look() is None
    assert caplog.messages == []

    world.is_gone = True
    await tested.look()
    assert await tested.look() is Reading.REFUSED
    assert world.settings.routing.quality_target == 0.9


async def test_what_needs_a_restart_is_named_in_log_and_metrics(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until the file says again what is so."""
    world = World()
    tested = await world.tested()
    world.content = OTHER + "[service]\nlisten = '127.0.0.1:1'\n"

    def pending() -> float | None:
        return world.metrics.registry.get_sample_value(
            "scrimp_settings_needs_restart", {"key": "service.listen"}
        )

    with caplog.at_level(logging.WARNING):
        await tested.look(is_asked=True)

    assert "needs restart: service.listen" in caplog.messages
    assert world.state() is SettingsState.NEEDS_RESTART
    assert pending() == 1
    assert world.settings.routing.quality_target == 0.8
    assert world.settings.service.listen == "127.0.0.1:50051"

    world.content = OTHER
    await tested.look(is_asked=True)
    assert world.state() is SettingsState.CURRENT
    assert pending() is None


async def test_a_mode_set_at_run_time_goes_on_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It wins until SetMode gives way; nothing is said where the file did not move."""
    world = World(modes={"support": Mode.OFF})
    tested = await world.tested()
    world.content = FIRST + "[namespaces.support]\nmode = 'shadow'\n"

    with caplog.at_level(logging.WARNING):
        await tested.look(is_asked=True)
        world.content += "ttl_s = 5\n"
        await tested.look(is_asked=True)

    (line,) = caplog.messages
    assert "'support'" in line
    assert "mode shadow, and off goes on" in line


async def test_a_switch_that_fails_leaves_all_as_it_was() -> None:
    """And is tried again at the next look."""
    world = World()
    tested = await world.tested()
    world.content = OTHER
    await tested.look()

    async def fail(_: Settings) -> None:
        raise OSError("the ledger is away")

    tested._switch = fail
    with pytest.raises(OSError, match="away"):
        await tested.look()
    assert world.settings.routing.quality_target == 0.9

    tested._switch = world.switch
    assert await tested.look() is Reading.APPLIED


async def test_without_a_file_there_is_nothing_to_read(caplog: pytest.LogCaptureFixture) -> None:
    """Asked to all the same, it says so."""
    world = World()
    tested = await world.tested()
    tested._file = None

    with caplog.at_level(logging.INFO):
        assert await tested.look() is None
        assert await tested.look(is_asked=True) is None

    assert "no settings file" in caplog.messages[-1]
