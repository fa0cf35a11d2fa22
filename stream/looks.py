"""Which labels look alike: the same but for case, accents, spaces, dashes, or look-alike letters.

Such labels are different labels, and are learnt as such; mostly they are one that was written in
two ways, sometimes one that is to be taken for another. They are told and counted.
"""

from __future__ import annotations

import unicodedata
from hashlib import blake2b

_SAME = str.maketrans(
    "аеорсухіјѕһԁԛԝѵοανικρτυχβ",
    "aeopcyxijshdqwvoavikptuxb",
)
"""Cyrillic and Greek letters that look like Latin ones, as far as labels commonly hold them."""


def skeleton(name: str) -> str:
    """What is left of a label that the eye tells apart.

    Examples
    --------
    >>> skeleton("Café au  lait") == skeleton("CAFE-AU-LAIT")
    True
    >>> skeleton("C++") == skeleton("C")
    False
    """
    if not name.isascii():
        split = unicodedata.normalize("NFKD", name)
        name = "".join(one for one in split if not unicodedata.combining(one))
    folded = name.casefold().translate(_SAME)
    return "".join(one for one in folded if not _passed_over(one)) or name


def _passed_over(letter: str) -> bool:
    """Spaces, dashes, underscores and what is not seen at all."""
    if letter.isalnum():
        return False
    return letter.isspace() or unicodedata.category(letter) in {"Pd", "Pc", "Cf", "Cc"}


def look(name: str) -> int:
    """A 63-bit hash of the skeleton."""
    text = skeleton(name).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8, person=b"look").digest(), "little") >> 1
