"""Features: tokens, titles, hashes that never change, and one kind of payload a stream."""

from __future__ import annotations

import numpy as np
import pytest

from stream import features, tokens
from stream.errors import InvalidRecord
from stream.features import Featurizer, Row, name_hashes, of_text, of_values
from stream.types import Example

RIVER_WATER = [2891084398580429437, 8932691162134861334, 17228512338069730314]
NAMES = [6813598642692534593, 8703565245643024443, 558822400328933570]


def weights(row: Row) -> list[float]:
    return sorted(np.round(row[1], 4).tolist())


def keys(text: str) -> set[int]:
    return set(of_text(text)[0].tolist())


@pytest.mark.parametrize(
    "text",
    [
        "river water",
        "Fluß Straße",
        "вода река",
        "νερό ποτάμι",
        "河流 水资源",
        "ماء نهر",
        "מים נהר",
        "पानी हिन्दी",
        "แม่น้ำ ประเทศ",
        "நீர் தமிழ்",
        "ရေ မြန်မာ",
        "강물 한국",
    ],
)
def test_two_words_of_any_script_are_two_words_and_a_bigram(text: str) -> None:
    one, two = text.split()
    assert len(text.split()) == 2
    stems = sum(len(word) > 6 for word in (one, two))
    assert len(of_text(text)[0]) == 3 + stems
    assert keys(one) < keys(text)
    assert keys(two) < keys(text)


def test_marks_of_a_script_do_not_cut_its_words() -> None:
    assert len(of_text("पानी")[0]) == 1
    assert keys("पानी") != keys("पाना")
    assert len(of_text("مَاءٌ")[0]) == 1


@pytest.mark.parametrize(
    "text", ["", " ", "a b c", "_ __ !?", "\n", "\n\n\n", "1 2", "\ud800", "ि ी"]
)
def test_texts_without_words_have_no_features(text: str) -> None:
    hashes, raw, terms, _ = of_text(text)
    assert len(hashes) == len(raw) == len(terms) == 0
    assert hashes.dtype == np.uint64


def test_case_and_underscores() -> None:
    assert keys("River_Water") == keys("river water") == keys("RIVER water!")
    assert len(of_text("x1 2024")[0]) == 3


def test_counts_are_dampened_and_prefixes_weigh_half() -> None:
    assert weights(of_text("\nword")) == [1.0]
    assert weights(of_text("\nword word word")) == [pytest.approx(1 + np.log(3), abs=1e-4)]
    assert weights(of_text("\nlonger")) == [1.0]  # six characters are their own prefix
    assert weights(of_text("\nlongest")) == [0.5, 1.0]
    twice = pytest.approx(0.5 * (1 + np.log(2)), abs=1e-4)
    assert weights(of_text("\nlongest longesx")) == [twice, 1.0, 1.0]


def test_a_title_counts_again_only_where_there_is_more() -> None:
    title, both = of_text("river water"), of_text("river water\nmore")
    assert len(title[0]) == 3  # two words, a bigram
    assert len(both[0]) == 3 + 1 + 2  # the body's word, the title's once more
    assert set(title[0].tolist()) < set(both[0].tolist())
    assert keys("more\nriver water") != keys("river water\nmore")


def test_only_the_first_words_of_a_title_make_bigrams() -> None:
    words = " ".join(f"w{k}" for k in range(50))
    assert len(of_text(words)[0]) == 50 + 31
    assert len(of_text(words + "\nbody")[0]) == 51 + 31 + 32


def test_hashes_are_what_they_always_were() -> None:
    """Snapshots carry weights by these numbers."""
    assert sorted(of_text("river water")[0].tolist()) == RIVER_WATER
    assert name_hashes(["x", "Ä", "\ud800"]).tolist() == NAMES


def test_words_are_kept_in_order_by_stem_and_first_letters() -> None:
    words = of_text("Märkte, Markt\nMärkten Märktearchiv ab")[3].tolist()
    assert [word == 0 for word in words] == [False, False, True, False, False, False]
    high, low = [word >> 32 for word in words], [word & 0xFFFFFFFF for word in words]
    assert high[0] == high[1] == high[3] != high[4]
    assert low[0] == low[3] == low[4] != low[1]
    assert len(of_text("only a title")[3]) == 2
    assert len(of_text("word " * 9_000)[3]) == 4_096
    assert len(of_text("title\n" + "word " * 9_000)[3]) == 4_097


def test_a_long_word_is_one_word() -> None:
    assert len(of_text("x" * 100_000)[3]) == 1


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("River (water)", [2, 1]),
        ("River", [1]),
        ("(water)", [1]),
        ("  \nsecond line", [2]),
        ("", []),
        ("a ! _", []),
        ("one two\na longer text", [2]),
    ],
)
def test_names_of_a_description(text: str, lengths: list[int]) -> None:
    found = features.names_in(text)
    assert [len(words) for words in found] == lengths
    assert all((words > 0).all() for words in found)


def test_titles_are_told_apart() -> None:
    marked = of_text("river water\nmore")[0] >= tokens.TITLE
    assert marked.sum() == 3
    assert (name_hashes([f"n{k}" for k in range(99)]) < tokens.TITLE).all()


def test_names_are_other_features_than_words() -> None:
    assert not set(name_hashes(["river"]).tolist()) & keys("river")
    assert 0 not in name_hashes([f"n{k}" for k in range(1_000)])


def test_values_keep_their_sign_and_are_dampened() -> None:
    values = np.array([3e38, -3e38, 1e-45, 1, -2], np.float32)
    _, raw, terms, _ = of_values(name_hashes(list("abcde")), values)
    assert raw is values
    assert terms.dtype == np.float32
    assert np.isfinite(terms).all()
    assert (np.sign(terms) == np.sign(values)).all()
    assert terms[3:].tolist() == pytest.approx([np.log(2), -np.log(3)])


def test_zeros_are_left_out_and_names_may_be_anything() -> None:
    row = Featurizer().row(Example("a", features={"x": 0.0, "": 1.0, "y": -0.0, "naïve": 2}))
    assert isinstance(row, tuple)
    assert row[0].tolist() == name_hashes(["", "naïve"]).tolist()
    assert row[1].tolist() == [1, 2]
    empty = Featurizer().row(Example("a", features={}))
    assert isinstance(empty, tuple)
    assert len(empty[0]) == 0


def test_the_first_event_decides_the_kind() -> None:
    dense, sparse = Featurizer(), Featurizer()
    vector = Example("a", vector=np.ones(3, np.float32))
    dense.check(vector)
    sparse.check(Example("a", text="words"))
    sparse.check(Example("b", features={"x": 1.0}))
    assert (dense.length, sparse.length) == (3, 0)
    with pytest.raises(InvalidRecord) as wrong:
        dense.check(Example("b", vector=np.ones(4, np.float32)))
    assert wrong.value.reason == "vector_length"
    for featurizer, example in ((dense, Example("b", text="words")), (sparse, vector)):
        with pytest.raises(InvalidRecord) as wrong:
            featurizer.check(example)
        assert wrong.value.reason == "payload_kind"
    again = Featurizer()
    again.load(dense.state())
    assert again.length == 3
    assert again.row(vector) is vector.vector


def test_parts_of_a_batch_are_its_rows() -> None:
    texts = ["river water", "", "more\nbody of it", "one two three"]
    rows = [of_text(text) for text in texts]
    batch = features.batch(rows)
    assert len(batch) == 4
    assert batch.width == 0
    part = batch.part(1, 3)
    assert len(part) == 2
    assert part.indptr.tolist() == [0, 0, len(rows[2][0])]
    assert part.hashes.tolist() == rows[2][0].tolist()
    assert part.spans.tolist() == [0, 0, 5]
    assert part.words.tolist() == rows[2][3].tolist()
    vectors = features.batch([np.ones(2, np.float32), np.zeros(2, np.float32)])
    assert (len(vectors), vectors.width) == (2, 2)
    assert vectors.part(1, 2).dense is not None
    assert len(vectors.part(1, 2)) == 1
    assert len(features.batch([])) == 0
    assert [len(features.blank(3, width)) for width in (0, 5)] == [3, 3]


def test_what_an_encoder_makes_of_texts_stays_with_its_rows() -> None:
    rows = [of_text("river water"), of_text("one two three"), of_text("")]
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    told = features.stack([(*row, vector) for row, vector in zip(rows, vectors, strict=True)])
    plain = features.stack(rows)
    assert plain.beside is None
    assert plain.part(1, 2).beside is None
    assert told.beside is not None
    assert told.beside.tolist() == vectors.tolist()
    assert told.hashes.tolist() == plain.hashes.tolist()
    part = told.part(1, 3)
    assert part.beside is not None
    assert part.beside.tolist() == vectors[1:].tolist()
