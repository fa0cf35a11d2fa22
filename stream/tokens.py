"""Text to hashed tokens and to a sparse row, compiled; see `stream.features` for what they mean.

A token is a letter or digit and one or more that follow, vowel signs among them. Of each there
are four hashes (CRC-32 of UTF-8): of itself, of its first six letters where it is longer, of the
first six without accents, and of its stem: that without its endings, two at most. Accents are
taken off words that begin with a Latin letter.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stream.jit import kernel

# Vowel signs and the like, which are no letters to Python: Hebrew, Arabic, Indic to Tibetan,
# Burmese, Khmer. Without them a word of such a script falls into single letters.
_MARKS = (
    (0x591, 0x5BD), (0x610, 0x61A), (0x64B, 0x65F), (0x670, 0x670), (0x900, 0x963),
    (0x966, 0xE4E), (0xE50, 0xEFF), (0x102B, 0x103E), (0x17B4, 0x17D3),
)  # fmt: skip
_LATIN = 0x250  # letters below carry accents that can be taken off
_KNOWN, _ACCENTED = 0x33000, 0x3000  # characters that may be letters; those that may be composed
_PLAIN = 4  # letters at most that one without its accent makes: ß, ligatures, fractions
_PREFIX = 6
_TITLE = 32  # tokens of a title that make bigrams and title words
WORDS = 4_096
"""Words kept in order."""

# kinds of features, in the top byte of a key before it is mixed
_WORD, _TITLE_WORD, _BIGRAM, _STEM = (np.uint64(n << 56) for n in (1, 2, 3, 4))
_WEIGHTS = np.array([0, 1, 1, 1, 0.5], np.float32)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)
TITLE = np.uint64(1 << 63)
"""The bit of a feature's hash that tells a title's words and bigrams apart."""
_LETTER, _MARK = 1, 2


class Letters(NamedTuple):
    """What is known of characters."""

    kind: Any  # (_KNOWN,) uint8: 0 parts words
    plain: Any  # (_ACCENTED, _PLAIN) uint32 a letter without its accents, 0 at the end
    crc: Any  # (256,) uint32 the table of CRC-32


class Tokens(NamedTuple):
    """Hashed tokens of a text."""

    found: Any  # (n, 4) uint64
    title: int  # how many are the title's
    body: bool  # whether there is more than a title


@cache
def _letters() -> Letters:
    kind = np.fromiter((chr(code).isalnum() for code in range(_KNOWN)), np.uint8, _KNOWN)
    for low, high in _MARKS:
        part = kind[low : high + 1]
        part[part == 0] = _MARK
    plain = np.zeros((_ACCENTED, _PLAIN), np.uint32)
    plain[:, 0] = np.arange(_ACCENTED)
    for code in np.flatnonzero(kind[:_ACCENTED] == _LETTER).tolist():
        split = unicodedata.normalize("NFKD", chr(code).replace("ß", "ss"))
        bare = [ord(part) for part in split if not unicodedata.combining(part)]
        if len(bare) <= _PLAIN:
            plain[code] = bare + [0] * (_PLAIN - len(bare))
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0xEDB88320), crc >> 1)
    return Letters(kind, plain, crc)


def tokens(text: str) -> Tokens:
    """The tokens of a text; its title is the first line."""
    codes = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), np.uint32)
    found = np.empty((len(codes) // 2 + 1, 4), np.uint64)
    n, title = _scan(codes, *_letters(), found)
    return Tokens(found[:n], title, n > title)


def row(text: Tokens) -> tuple[Any, Any]:
    """Hashes (n,) uint64 of a text's features, and terms (n,) float32."""
    most = 2 * len(text.found) + 2 * _TITLE
    hashes, terms = np.empty(most, np.uint64), np.empty(most, np.float32)
    n = _row(text.found, text.title, text.body, hashes, terms)
    return hashes[:n], terms[:n]


def ordered(text: Tokens) -> Any:
    """(m,) uint64, the words in order; 0 ends a title that has a body."""
    words = np.empty(min(len(text.found), WORDS) + 1, np.uint64)
    return words[: _order(text.found, text.title, words)]


@kernel
def _crc(crc: Any, letters: Any, n: int) -> Any:
    """CRC-32 of letters in UTF-8."""
    state = np.uint32(0xFFFFFFFF)
    for k in range(n):
        code = letters[k]
        if code < 0x80:
            state = crc[(state ^ code) & 0xFF] ^ (state >> np.uint32(8))
            continue
        more = 1 if code < 0x800 else (2 if code < 0x10000 else 3)
        head = (0xFF << (7 - more)) & 0xFF
        state = crc[(state ^ np.uint32(head | (code >> (6 * more)))) & 0xFF] ^ (
            state >> np.uint32(8)
        )
        while more > 0:
            more -= 1
            byte = np.uint32(0x80 | ((code >> (6 * more)) & 0x3F))
            state = crc[(state ^ byte) & 0xFF] ^ (state >> np.uint32(8))
    return np.uint64(state ^ np.uint32(0xFFFFFFFF))


@kernel
def _shorter(letters: Any, n: int) -> int:
    """Letters left when an ending is taken off: en, er, es, em, e, s, n."""
    if n > 5 and letters[n - 2] == 101 and letters[n - 1] in (110, 114, 115, 109):
        return n - 2
    if n > 4 and letters[n - 1] in (101, 115, 110):
        return n - 1
    return n


@kernel
def _scan(codes: Any, kind: Any, plain: Any, crc: Any, found: Any) -> tuple[int, int]:
    """Fill `found`; returns how many tokens there are, and how many of them are the title's."""
    n, title = 0, -1
    bare = np.empty(16, np.uint32)
    at = 0
    while at < len(codes):
        code = codes[at]
        if code >= len(kind) or kind[code] != _LETTER:
            if code == 10 and title < 0:
                title = n
            at += 1
            continue
        end = at + 1
        ascii = code < 0x80
        while end < len(codes) and codes[end] < len(kind) and kind[codes[end]] > 0:
            ascii = ascii and codes[end] < 0x80
            end += 1
        size = end - at
        if size > 1:
            token = codes[at:end]
            found[n, 0] = _crc(crc, token, size)
            found[n, 1] = _crc(crc, token, _PREFIX) if size > _PREFIX else np.uint64(0)
            if not ascii and code < _LATIN:
                if len(bare) < _PLAIN * size:
                    bare = np.empty(_PLAIN * size, np.uint32)
                left = 0
                for k in range(size):
                    if token[k] >= len(plain):
                        bare[left] = token[k]
                        left += 1
                        continue
                    for part in plain[token[k]]:
                        if part > 0:
                            bare[left] = part
                            left += 1
                token, size = bare[:left], left
            found[n, 2] = _crc(crc, token, min(size, _PREFIX))
            found[n, 3] = _crc(crc, token, _shorter(token, _shorter(token, size)))
            n += 1
        at = end
    return n, n if title < 0 else title


@kernel
def _row(found: Any, title: int, body: bool, hashes: Any, terms: Any) -> int:
    """The features of a text, each once, in the order of their keys."""
    many = len(found)
    top = min(title, _TITLE)
    keys = np.empty(2 * many + 2 * top, np.uint64)
    n = 0
    for k in range(many):
        keys[n] = found[k, 0] | _WORD
        n += 1
        if found[k, 1] > 0:
            keys[n] = found[k, 1] | _STEM
            n += 1
    for k in range(top):
        if body:
            keys[n] = found[k, 0] | _TITLE_WORD
            n += 1
        if k + 1 < top:
            pair = found[k, 0] * _GOLDEN ^ found[k + 1, 0]
            keys[n] = (pair & np.uint64(0xFFFFFFFFFFFF)) | _BIGRAM
            n += 1
    keys = np.sort(keys[:n])
    out, start = 0, 0
    while start < n:
        end = start + 1
        while end < n and keys[end] == keys[start]:
            end += 1
        what = np.int64(keys[start] >> np.uint64(56))
        spread = _mix(keys[start])
        hashes[out] = spread | TITLE if what in (2, 3) else spread & ~TITLE
        terms[out] = _WEIGHTS[what] * np.float32(1.0 + np.log(np.float64(end - start)))
        out += 1
        start = end
    return out


@kernel
def _order(found: Any, title: int, words: Any) -> int:
    n = min(len(found), WORDS)
    out = 0
    for k in range(n):
        if k == title:
            words[out] = 0
            out += 1
        words[out] = (found[k, 3] << np.uint64(32)) | found[k, 2]
        out += 1
    return out


def mixed(key: Any) -> Any:
    """Spread the bits, so that low bits index tables well (a splitmix64 step)."""
    spread = key * _GOLDEN
    spread = (spread ^ (spread >> _SHIFT)) * _MIX
    return spread ^ (spread >> _SHIFT)


_mix = kernel(mixed)
