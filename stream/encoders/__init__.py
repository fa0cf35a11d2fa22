"""Encoders of texts that a user plugs in by entry point, and the guard that each runs behind."""

from stream.encoders.base import GROUP, TextEncoder
from stream.encoders.guard import REASONS, Guard
from stream.encoders.plugins import guarded, known, load

__all__ = ["GROUP", "REASONS", "Guard", "TextEncoder", "guarded", "known", "load"]
