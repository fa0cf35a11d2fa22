"""The box that takes a text, and its tags with their reasons."""

from __future__ import annotations

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from stream.errors import BraidError
from stream.serve.page.tagging import MOST_CHARACTERS, Tagged, Tagger
from stream.serve.view import Exemplar, Reasons
from stream.types import Scored

_SHOWN = 5
_PARTS = 3
_EXEMPLARS, _NAMES = 3, 8
_HINT = "The likeliest labels come here, with what spoke for each."


def box(tagger: Tagger) -> None:
    """Put it where the page is."""

    async def ask() -> None:
        text = str(given.value or "").strip()
        if not text:
            _say("Type a text first.")
            return
        button.disable()
        try:
            tagged = await tagger.tag(text)
        except BraidError as error:
            _say(str(error))
        else:
            answers.clear()
            with answers:
                _answer(tagged)
        finally:
            button.enable()

    def _say(sentence: str) -> None:
        answers.clear()
        with answers:
            ui.label(sentence).classes("quiet").props("role=alert")

    given = ui.textarea(placeholder="A title, then the body").props(
        f"outlined autogrow maxlength={MOST_CHARACTERS} aria-label='Text to tag'"
    )
    given.on("keydown.ctrl.enter", ask)
    with ui.element("div").classes("row-line"):
        button = ui.button("Tag", on_click=ask, color=None).classes("plain")
        ui.label("or Ctrl + Enter").classes("quiet")
    answers = ui.element("div").props("id=answers")
    with answers:
        ui.label(_HINT).classes("quiet")


def _answer(tagged: Tagged) -> None:
    if not tagged.top:
        ui.label("The model knows no label yet.").classes("quiet")
        return
    if tagged.reasons:
        ui.label("Below each, in log odds, what spoke for (+) or against it (-).").classes("quiet")
    for one in tagged.top[:_SHOWN]:
        _tag(one, one.label in tagged.chosen, tagged.reasons.get(one.label))
    if tagged.exemplars:
        ui.label("Events that are like it").classes("quiet")
        for exemplar in tagged.exemplars[:_EXEMPLARS]:
            _exemplar(exemplar)


def _tag(one: Scored, chosen: bool, why: Reasons | None) -> None:
    with ui.element("div").classes("tag"):
        with ui.element("div").classes("first"):
            TextElement(tag="span", text=one.label).classes("label" + " chosen" * chosen)
            TextElement(tag="span", text=f"{one.score:.3f}").classes("score")
        with ui.element("div").classes("bar"):
            ui.element("i").style(f"width: {100 * min(1.0, max(0.0, one.score)):.1f}%")
        if why is not None:
            with ui.element("div").classes("why"):
                for name, value in _strongest(why):
                    TextElement(tag="span", text=f"{name} {value:+.2f}")
                if why.partition >= 0:
                    TextElement(tag="span", text=f"partition {why.partition}")
                if why.by_index:
                    TextElement(tag="span", text="found by the index alone")


def _strongest(why: Reasons) -> list[tuple[str, float]]:
    parts = sorted(why.parts.items(), key=lambda part: -abs(part[1]))
    return [(name.replace("_", " "), value) for name, value in parts[:_PARTS]]


def _exemplar(one: Exemplar) -> None:
    with ui.element("div").classes("tag"), ui.element("div").classes("why"):
        TextElement(tag="span", text=f"similarity {one.similarity:.2f}")
        TextElement(tag="span", text=", ".join(one.labels[:_NAMES])).classes("label")
