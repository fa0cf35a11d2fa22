"""A part of a path that may hold anything, as labels do: slashes, and line breaks too."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor


class _Anything(StringConvertor):
    regex = "(?s:.*)"  # Starlette's own `path` ends at a line break


register_url_convertor("anything", _Anything())

LABEL = "/v1/labels/{label:anything}"
"""The route of one label."""
