"""The compiled tokeniser against one in plain Python, letter by letter."""

from __future__ import annotations

import re
import unicodedata
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import tokens

ENDINGS = re.compile(r"(?<=....)(?:en|er|es|em|e|s|n)$")
MARKS = "\u0591-\u05bd\u064b-\u065f\u0900-\u0963\u0966-\u0e4e\u0e50-\u0eff"
TOKEN = re.compile(rf"[^\W_](?:[^\W_]|[{MARKS}])+")


def hashed(part: str) -> int:
    return crc32(part.encode("utf-8", "surrogatepass"))


def plain(token: str) -> str:
    if token[0] >= "\u0250":
        return token
    parts = unicodedata.normalize("NFKD", token.replace("ß", "ss"))
    return "".join(part for part in parts if not unicodedata.combining(part))


def expected(text: str) -> list[list[int]]:
    rows = []
    for token in TOKEN.findall(text.lower()):
        bare = plain(token)
        stem = ENDINGS.sub("", ENDINGS.sub("", bare))
        prefix = token[:6] if len(token) > 6 else ""
        rows.append([hashed(part) for part in (token, prefix, bare[:6], stem)])
    return rows


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Straßenverkehrsordnungen, Ärger; Œuvre ŉab ¼x½ Ré́sumés",
        "вода рекИ\nνερό हिन्दी भाषा 你好世界 😀word😀 \ud800ab 𝒳𝒴",
        "ee ens sense esses enen emes ﬁsh İstanbul x_y_z 12 3 a",
        "latin" + "ø" * 90 + " aж " + "ж" * 200,
    ],
)
def test_tokens_are_those_of_the_plain_rules(text: str) -> None:
    assert tokens.tokens(text).found.tolist() == expected(text)


LETTERS = st.characters(codec="utf-8", max_codepoint=0x24F) | st.sampled_from("жяνअा水 \n_")


@given(st.text(LETTERS, max_size=60))
def test_any_text(text: str) -> None:
    title, _, body = text.partition("\n")
    found = tokens.tokens(text)
    assert found.found.tolist() == expected(text)
    assert found.title == len(expected(title))
    assert found.body == bool(expected(body))
    keys, terms = tokens.row(found)
    assert len(np.unique(keys)) == len(keys) == len(terms)
    ordered = tokens.ordered(found)
    assert len(ordered) == len(found.found) + found.body
    assert not found.body or ordered[found.title] == 0


def test_a_long_text_keeps_its_first_words() -> None:
    text = "\n".join(["some title", " ".join(f"w{k}" for k in range(tokens.WORDS + 50))])
    assert len(tokens.ordered(tokens.tokens(text))) == tokens.WORDS + 1
