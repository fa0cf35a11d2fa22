"""The charts of the page, as options of ECharts; the browser puts samples into them.

A colour that begins with `$` is one of the style sheet's variables, which differ between light
and dark. No text of the stream is ever given to ECharts as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream.serve.page.history import COLUMNS

Options = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line: a column of the samples, its name for people, its colour; filled, or dashed."""

    column: str
    name: str
    colour: str
    filled: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart of lines over time.

    Parameters
    ----------
    name
        What the page knows it by.
    title, note
        What stands above it.
    lines
        What it shows.
    unit
        Of all lines.
    most
        Upper end of the axis, None where it follows the data.
    least
        What the axis reaches at least, so that little does not look like much.
    """

    name: str
    title: str
    note: str
    lines: tuple[Line, ...]
    unit: str
    most: float | None = None
    least: float = 1


ACCURACY = Figure(
    "accuracy", "Accuracy", "precision of the last 1,000 or so events, predicted before learnt",
    (Line("p1", "P@1", "$c1"), Line("p5", "P@5", "$c2")), "", most=1,
)  # fmt: skip

SMALL = (
    Figure(
        "throughput", "Throughput", "events a second",
        (
            Line("learnt", "learnt", "$c1", True),
            Line("predicted", "predicted", "$c2", dashed=True),
        ),
        "/s",
    ),
    Figure(
        "latency", "Latency", "of micro-batches and requests, ms",
        (
            Line("step99", "batch p99", "$c1"),
            Line("step50", "batch median", "$c3"),
            Line("http99", "HTTP p99", "$c4"),
        ),
        "ms",
    ),
    Figure(
        "lag", "Lag", "records not read yet", (Line("lag", "lag", "$c1", True),), "records",
        least=10,
    ),
    Figure(
        "http", "HTTP requests", "a second",
        (Line("asked", "answered", "$c1", True), Line("refused", "refused (429)", "$bad")), "/s",
    ),
    Figure(
        "fresh", "New labels", "a second",
        (Line("fresh", "new labels", "$c1", True),), "/s",
    ),
    Figure(
        "dead", "Dead letters", "records of no use, a second",
        (Line("dead", "dead letters", "$bad", True),), "/s",
    ),
)  # fmt: skip

CHANGES = ("alarm, all", "alarm, part", "split", "merge", "encoder")
"""Rows of the timeline, in the order of the kinds of `stream.serve.page.history`."""
_CHANGE_COLOURS = ("$bad", "$warn", "$c1", "$c2", "$c4")
_LEFT, _WIDE, _RIGHT = 44, 78, 14
"""The charts one below the other have the same left edge."""


def lines(figure: Figure) -> Options:
    """The options of a chart of lines."""
    several = len(figure.lines) > 1
    return {
        **_common(),
        "grid": {
            "left": _WIDE if figure.most else _LEFT, "right": _RIGHT,
            "top": 34 if several else 14, "bottom": 26,
        },
        "legend": {
            "show": several, "top": 0, "left": 0, "itemWidth": 14, "itemHeight": 8, "itemGap": 14,
            "icon": "roundRect", "textStyle": {"color": "$mute", "fontSize": 12},
        },
        "xAxis": _time(4 if figure.most else 2),
        "yAxis": {
            "type": "value", "min": 0, "splitNumber": 3,
            "axisLabel": {"color": "$mute", "fontSize": 12, "hideOverlap": True},
            "splitLine": {"lineStyle": {"color": "$grid"}},
        } | ({} if figure.most is None else {"max": figure.most}),
        "dataset": {"dimensions": list(COLUMNS), "source": []},
        "series": [_line(one) for one in figure.lines],
    }  # fmt: skip


def timeline() -> Options:
    """The options of the timeline of changes, whose points the browser sorts into its rows."""
    return {
        **_common(),
        "tooltip": _tooltip("item"),
        "grid": {"left": _WIDE, "right": _RIGHT, "top": 6, "bottom": 26},
        "xAxis": _time(4),
        "yAxis": {
            "type": "category", "data": list(CHANGES), "inverse": True,
            "axisLabel": {"color": "$mute", "fontSize": 12},
            "axisLine": {"show": False}, "axisTick": {"show": False},
            "splitLine": {"show": True, "lineStyle": {"color": "$grid"}},
        },
        "series": [
            {
                "name": name, "type": "scatter", "symbol": "circle", "symbolSize": 9, "data": [],
                "itemStyle": {"color": colour, "opacity": 0.8},
            }
            for name, colour in zip(CHANGES, _CHANGE_COLOURS, strict=True)
        ],
    }  # fmt: skip


def treemap() -> Options:
    """The options of the label hierarchy: one level at a time, the next at a click."""
    border = {"borderColor": "$card", "borderWidth": 1, "gapWidth": 1}
    return {
        **_common(),
        "tooltip": _tooltip("item"),
        "series": [
            {
                "type": "treemap", "name": "all labels", "roam": False, "leafDepth": 1,
                "drillDownIcon": "",
                "animation": False, "animationDurationUpdate": 0,
                "nodeClick": "zoomToNode", "left": 0, "right": 0, "top": 0, "bottom": 34,
                "breadcrumb": {
                    "left": 0, "bottom": 2, "height": 24,
                    "itemStyle": {
                        "color": "$grid", "borderColor": "$card", "textStyle": {"color": "$ink"},
                    },
                    "emphasis": {"itemStyle": {"color": "$line"}},
                },
                "label": {
                    "color": "$tile", "fontSize": 12, "lineHeight": 16,
                    "overflow": "truncate", "padding": [5, 7], "position": "insideTopLeft",
                },
                "itemStyle": border, "levels": [{"itemStyle": border}], "data": [],
            }
        ],
    }  # fmt: skip


def _common() -> Options:
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": "inherit", "color": "$ink"},
        "tooltip": _tooltip("axis"),
    }


def _tooltip(trigger: str) -> Options:
    return {
        "trigger": trigger, "renderMode": "richText",  # names are text, never markup
        "confine": True, "backgroundColor": "$card", "borderColor": "$line",
        "textStyle": {"color": "$ink", "fontSize": 12},
        "axisPointer": {"lineStyle": {"color": "$line"}},
    }  # fmt: skip


def _time(parts: int) -> Options:
    return {
        "type": "time", "splitNumber": parts,
        "axisLabel": {
            "color": "$mute", "fontSize": 12, "hideOverlap": True, "formatter": "{HH}:{mm}:{ss}",
        },
        "axisLine": {"lineStyle": {"color": "$line"}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }  # fmt: skip


def _line(line: Line) -> Options:
    kind = "dashed" if line.dashed else "solid"
    return {
        "name": line.name, "type": "line", "encode": {"x": "t", "y": line.column},
        "showSymbol": False, "sampling": "lttb", "connectNulls": False,
        "lineStyle": {"width": 2, "color": line.colour, "type": kind},
        "itemStyle": {"color": line.colour},
        "areaStyle": {"color": line.colour, "opacity": 0.14 if line.filled else 0},
        "emphasis": {"disabled": True},
    }  # fmt: skip
