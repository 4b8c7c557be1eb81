import time
from functools import cache
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.datasets import data_dir, read_rows
from classifier.encoder import OnnxEncoder

TEXTS = st.text(max_size=400)
SLOW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


@cache
def encoder() -> OnnxEncoder:
    return OnnxEncoder.load()


def test_the_encoder_names_itself_and_its_shape() -> None:
    """Whoever stores vectors keeps the id beside them."""
    assert encoder().encoder_id.startswith("all-minilm-l6-v2-int8-")
    assert (encoder().dim, encoder().window_tokens) == (384, 128)


def test_no_texts_give_no_vectors() -> None:
    """Zero texts are not an error."""
    assert encoder().encode([]).shape == (0, 384)


@SLOW
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_every_vector_has_unit_length(texts: list[str]) -> None:
    """Any text at all, the empty one included, becomes a finite unit vector."""
    vectors = encoder().encode(texts)

    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)


@SLOW
@given(st.lists(TEXTS, min_size=2, max_size=6), st.randoms())
def test_company_does_not_change_a_vector(texts: list[str], random: Random) -> None:
    """Alone, in a batch, in any order: the int8 scales are fixed, so the vector is the same."""
    alone = np.concatenate([encoder().encode([text]) for text in texts])
    order = random.sample(range(len(texts)), len(texts))

    together = encoder().encode([texts[i] for i in order])

    assert np.einsum("ij,ij->i", together, alone[order]).min() > 0.99999


def test_like_texts_are_closer_than_unlike_ones() -> None:
    """The vectors mean something: a paraphrase is nearer than another question."""
    a, b, c = encoder().encode(
        ["How do I reset my password?", "I forgot my password, how to reset it?", "Best pizza?"]
    )

    assert a @ b > 0.8 > 0.3 > a @ c


def test_special_tokens_typed_by_a_user_are_text() -> None:
    """A "[SEP]" in a prompt must not steer the model as the real separator would."""
    typed, spaced = encoder().encode(["red [SEP] blue", "red [ sep ] blue"])

    assert typed @ spaced > 0.9999


@SLOW
@given(TEXTS | st.text(min_size=1400, max_size=1700) | st.text("ab 🍎\n", min_size=1490))
def test_seen_and_unseen_parts_cover_the_text(text: str) -> None:
    """Nothing falls between: head, unseen parts and tail, joined, are the text."""
    assert "".join(part for _, part in encoder().parts(text)) == text


@SLOW
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=126))
def test_the_shortcut_for_short_texts_agrees_with_the_tokenizer(text: str) -> None:
    """``unseen`` answers at once for short ASCII; the slow way must say the same."""
    slowly = "\n".join(p for seen, p in encoder().parts(text) if not seen and p.strip())

    assert encoder().unseen(text) == slowly


def test_a_short_question_is_seen_whole() -> None:
    """The everyday prompt has no unseen part."""
    assert encoder().unseen("Wie viel kostet ein Brot?\nHow much is bread?") == ""


def test_the_middle_of_a_long_text_is_unseen() -> None:
    """Head and tail are in the window; a change in the middle shows in ``unseen`` alone."""
    words = [f"word{i}" for i in range(400)]
    one, other = " ".join(words), " ".join([*words[:200], "CHANGED", *words[201:]])

    assert np.array_equal(*encoder().encode([one, other]))
    assert "word200" in encoder().unseen(one)
    assert "CHANGED" in encoder().unseen(other)
    assert "word0 " not in encoder().unseen(one)
    assert "word399" not in encoder().unseen(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("buy 🍎 now", "buy 🍊 now"), ("a\x07b", "a\x08b"), ("go \ud800 on", "go \ud801 on")],
    ids=["emoji", "control", "surrogate"],
)
def test_what_the_vocabulary_lacks_is_unseen(one: str, other: str) -> None:
    """Two texts with one vector differ in ``unseen``: else one's answer would serve the other."""
    a, b = encoder().encode([one, other])

    assert a @ b > 0.9999
    assert encoder().unseen(one) != encoder().unseen(other)


@SLOW
@given(st.text(st.sampled_from("ab1é한🍎\u200b\ud800 \n"), max_size=30), st.data())
def test_texts_with_the_same_tokens_differ_in_unseen_or_in_case_and_accents_only(
    text: str, data: st.DataObject
) -> None:
    """Dropping a character that the tokens do not show is visible in ``unseen``."""
    if not text:
        return
    cut = data.draw(st.integers(0, len(text) - 1))
    shorter = text[:cut] + text[cut + 1 :]
    if encoder().encode([text])[0] @ encoder().encode([shorter])[0] > 0.999999:
        changed = text[cut]
        assert (
            changed.isspace()
            or encoder().unseen(text) != encoder().unseen(shorter)
            or (
                changed in text[:cut] + text[cut + 1 :]  # "aa" -> "a" inside one unknown word
            )
        )


def test_a_huge_text_costs_no_more_than_a_long_one() -> None:
    """Text is cut before it is tokenized: 1 MB must not take longer than a few pages."""
    page, huge = "lorem ipsum dolor sit amet " * 80, "lorem ipsum dolor sit amet " * 40_000

    def best(text: str) -> float:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            encoder()._ids(text)
            times.append(time.perf_counter() - started)
        return min(times)

    assert best(huge) < 4 * best(page) + 0.001


@pytest.mark.data
def test_real_prompts_of_the_longest_kind_encode() -> None:
    """The chat prompts hold everything people paste."""
    folder = data_dir()
    if folder is None:
        pytest.skip("no data: set SCRIMP_DATA")
    rows = [row["text"] for row in read_rows(folder / "traffic" / "prompts_chat.jsonl.gz")][:40]

    vectors = encoder().encode(rows)

    assert np.isfinite(vectors).all()
    assert all("".join(p for _, p in encoder().parts(text)) == text for text in rows)
