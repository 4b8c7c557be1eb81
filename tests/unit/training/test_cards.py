from pathlib import Path

import pytest

from training.cards import created, model_card, refuse_to_worsen


def test_a_better_artifact_is_not_replaced(tmp_path: Path) -> None:
    """A bad run must not overwrite a good model by accident."""
    with pytest.raises(SystemExit, match="it stays"):
        refuse_to_worsen(tmp_path, "complexity", new=0.60, old=0.61, force=False)


@pytest.mark.parametrize(("old", "force"), [(None, False), (0.5, False), (0.6, False), (0.9, True)])
def test_an_equal_or_better_one_or_a_forced_one_passes(
    tmp_path: Path, old: float | None, force: bool
) -> None:
    """Nothing there, no loss, or told to."""
    refuse_to_worsen(tmp_path, "complexity", new=0.6, old=old, force=force)


def test_the_day_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeatable builds give the day themselves."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")

    assert created() == "1970-01-02"


def test_a_model_card_holds_its_numbers() -> None:
    """The card for people quotes the card for machines."""
    assert '"apgr": 0.6' in model_card(title="T", paragraphs=["P"], numbers={"apgr": 0.6})
