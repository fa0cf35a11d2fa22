"""Generations of the prototype index: the one in use, the one before it, and one being made."""

from stream.generations.generations import Generations
from stream.generations.telling import about, obey

__all__ = ["Generations", "about", "obey"]
