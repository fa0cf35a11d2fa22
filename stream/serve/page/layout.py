"""The page: what stands where, and what is pushed to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from nicegui import app as served
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from starlette.types import ASGIApp

from stream.errors import BraidError
from stream.serve.page import figures
from stream.serve.page.answer import box
from stream.serve.page.history import COLUMNS, EVERY_S
from stream.serve.page.window import Window

_ASSETS = Path(__file__).parent / "assets"
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke-width="4" '
    'stroke-linecap="round"><path stroke="#1f66ad" d="M8 4c0 12 16 12 16 24"/>'
    '<path stroke="#0b8468" d="M24 4c0 12-16 12-16 24"/></svg>'
)
_MODES = {None: "Theme: system", True: "Theme: dark", False: "Theme: light"}
_NEXT = {None: True, True: False, False: None}
_WRONG_S = 1.0
_TILES = (
    ("rate", "Throughput", "events/s"),
    ("p1", "P@1", ""),
    ("lag", "Lag", "records"),
    ("step", "Micro-batch p99", "ms"),
    ("labels", "Labels", ""),
    ("dead", "Dead letters", "/min"),
)
_EMPTY = {
    "accuracy": "nothing scored yet",
    "throughput": "no events yet",
    "latency": "no micro-batch yet",
    "lag": "lag not known yet",
    "http": "no requests yet",
    "fresh": "no new label yet",
    "dead": "no dead letter in this time",
}
_opened = False


def serve(window: Window) -> tuple[ASGIApp, AbstractAsyncContextManager[object]]:
    """What serves the page, and its lifespan.

    Raises
    ------
    BraidError
        Another endpoint of this process has the page.
    """
    global _opened  # noqa: PLW0603  # what is below it is one for the process, too
    if _opened:
        raise BraidError("another endpoint of this process shows the page already")
    _opened = True
    head = _head()

    @ui.page("/", title="Braidstream")
    def page() -> None:
        ui.add_head_html(head)
        if window.asks:
            _login(window)
        else:
            _show(window, "")

    ui.run_with(
        FastAPI(), favicon=_ICON, dark=None, tailwind=False, binding_refresh_interval=None,
        reconnect_timeout=10.0, gzip_middleware_factory=None, show_welcome_message=False,
    )  # fmt: skip
    return served, served.router.lifespan_context(served)


def _head() -> str:
    style, script = ((_ASSETS / name).read_text("utf-8") for name in ("page.css", "page.js"))
    return f"<style>{style}</style><script>{script}</script>"


def _login(window: Window) -> None:
    """Ask for a token; it is kept for this opening of the page alone."""

    async def check() -> None:
        secret = str(given.value or "")
        given.value = ""
        if not window.admits(secret):
            await asyncio.sleep(_WRONG_S)
            told.text = "This token is not known, or lacks the scope predict."
            return
        asked.delete()
        with place:
            _show(window, secret)

    with ui.element("div").classes("card login") as asked:
        _heading("Braidstream")
        ui.label("A token with the scope predict opens the page.").classes("quiet")
        given = ui.input("Token", password=True).props("outlined autocomplete=off")
        given.classes("full-width").on("keydown.enter", check)
        with ui.element("div").classes("row-line"):
            ui.button("Open", on_click=check, color=None).classes("plain")
        told = ui.label().classes("quiet").props("role=alert")
    place = ui.element("div")


def _show(window: Window, secret: str) -> None:
    _top()
    charts: dict[str, Any] = {}
    with ui.element("main").classes("grid"):
        for key, name, unit in _TILES:
            _tile(key, name, unit)
        with _card("w8 tower", figures.ACCURACY.title, figures.ACCURACY.note):
            _lines(charts, figures.ACCURACY, "tall")
            with ui.element("div").classes("sub"):
                _heading("Changes", "of the model, as they came")
            _plot(charts, "changes", "changes", "no alarm, split or merge yet", figures.timeline())
        with _card("w4 wide box", "Tag a text", "with the model as it is now"):
            box(window.tagger)
        for figure in figures.SMALL:
            with _card("w4", figure.title, figure.note):
                _lines(charts, figure, "")
        with _card("w8", "Label hierarchy", "a click looks inside", True):
            _plot(charts, "tree", "tree", "no partition yet", figures.treemap())
        with _card("w4 wide", "Newest labels", "seen for the first time"):
            ui.element("ul").classes("list").props("id=fresh")
    spec = orjson.dumps({"names": COLUMNS, "charts": charts}).decode()
    ui.run_javascript(f"braid.begin({spec})")
    ui.timer(EVERY_S, _Push(window, secret), immediate=True)


class _Push:
    """Brings one page what it has not got yet, once a second."""

    def __init__(self, window: Window, secret: str) -> None:
        self._window = window
        self._secret = secret
        self._seen = (0, 0, 0)
        self._tree = 0

    async def __call__(self) -> None:
        window = self._window
        if not window.admits(self._secret):  # it was taken out of the file
            ui.navigate.reload()
            return
        self._seen, news = window.history.since(self._seen)
        ui.run_javascript(f"braid.push({news.decode()})")
        if await window.hierarchy.fresh(self._tree):
            self._tree = window.hierarchy.number
            ui.run_javascript(f"braid.tree({window.hierarchy.made.decode()})")


def _top() -> None:
    def turn() -> None:
        dark.value = _NEXT[dark.value]
        button.text = _MODES[dark.value]

    dark = ui.dark_mode(None)
    with ui.element("header").classes("top"):
        TextElement(tag="h1", text="Braidstream")
        ui.label("starting").classes("pill").props("id=state role=status")
        button = ui.button(_MODES[None], on_click=turn, color=None).classes("ghost far")
        button.props("flat dense padding='2px 12px'")
    ui.element("div").classes("notice").props("id=notice role=alert")


def _tile(key: str, name: str, unit: str) -> None:
    with ui.element("div").classes("card tile"):
        ui.label(name).classes("name")
        with ui.element("div").classes("figure"):
            TextElement(tag="span", text="-").props(f"id=v-{key}")
            if unit:
                TextElement(tag="span", text=unit).classes("unit")
        ui.label().classes("more").props(f"id=m-{key}")


def _lines(charts: dict[str, Any], figure: figures.Figure, kind: str) -> None:
    _plot(charts, figure.name, kind, _EMPTY[figure.name], figures.lines(figure))
    charts[figure.name] |= {
        "columns": [line.column for line in figure.lines],
        "unit": figure.unit, "most": figure.most, "least": figure.least,
        "zero": figure.name in {"http", "fresh", "dead"},
    }  # fmt: skip


def _plot(
    charts: dict[str, Any], name: str, kind: str, empty: str, options: figures.Options
) -> None:
    with ui.element("div").classes(f"plot {kind} blank").props(f"data-plot={name}"):
        chart = ui.echart({}).props(f"role=img aria-label={name}")
        ui.label(empty).classes("empty")
    charts[name] = {"id": chart.id, "options": options}


@contextmanager
def _card(classes: str, title: str, note: str, scale: bool = False) -> Iterator[None]:
    with ui.element("section").classes(f"card {classes}"):
        _heading(title, note, scale)
        yield


def _heading(title: str, note: str = "", scale: bool = False) -> None:
    with ui.element("div").classes("head"):
        TextElement(tag="h2", text=title)
        if note:
            TextElement(tag="span", text=note).classes("note")
        if not scale:
            return
        with ui.element("span").classes("scale"):
            TextElement(tag="span", text="recent accuracy 0")
            ui.element("i")
            TextElement(tag="span", text="1")
            ui.element("b")
            TextElement(tag="span", text="not known")
