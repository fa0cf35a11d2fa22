"""The live page in a real browser, over a real service; pictures are kept in .cache."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from tests.browser import PHONE, Window, browser, chromium, service

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SECRET = "looker-secret-0001"
HOSTILE = "<img src=x onerror=document.title='cracked'>"
TREE = "getElement(braid.state.charts.tree.id).chart.getModel().getSeriesByIndex(0).getViewRoot()"
CHARTS = "accuracy throughput latency lag http fresh dead changes tree".split()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    if not chromium():
        assert os.environ.get("CI") != "true", "Debian's chromium could not be installed"
        pytest.skip("there is no chromium, and it cannot be installed here")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A service that closes a connection whose request takes over two seconds to begin."""
    with service("serve.head_s=2", nice=10) as (_, where):
        yield where


@pytest.fixture
def windows(chrome: Any, address: str) -> Iterator[Any]:
    """Opens windows; nothing may have gone wrong in them when the test ends."""
    opened: list[Window] = []

    def make(**how: Any) -> Window:
        opened.append(Window(chrome, address, **how))
        return opened[-1]

    yield make
    for window in opened:
        window.close()
    assert [wrong for window in opened for wrong in window.wrong] == []


def test_who_asks_for_json_gets_the_routes(address: str) -> None:
    for accept in ("*/*", "application/json"):
        found = httpx.get(f"{address}/", headers={"accept": accept})
        assert found.json()["service"] == "Braidstream"
    shown = httpx.get(f"{address}/", headers=HTML)
    assert shown.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in shown.headers["content-security-policy"]
    assert "set-cookie" not in shown.headers


def test_charts_have_data_and_follow_by_push(windows: Any) -> None:
    window = windows()
    window.drawn()
    window.tell("globalThis.opened = true")
    window.until("braid.state.rows.at(-1).at(-1) > 500")  # events learnt
    window.tell("braid.draw(true)")  # those out of sight, too
    sources = window.tell(
        "Object.fromEntries(Object.keys(braid.state.charts).map((name) => "
        "[name, getElement(braid.state.charts[name].id).chart.getOption()]))"
    )
    assert sorted(sources) == sorted(CHARTS)
    seen = len(sources["accuracy"]["dataset"][0]["source"])
    assert seen >= 3
    assert sources["accuracy"]["dataset"][0]["source"][-1][10] > 0, "P@1"
    assert len(sources["tree"]["series"][0]["data"]) > 1
    position = window.tell("document.getElementById('m-rate').textContent")
    window.until(f"braid.state.rows.length > {seen + 4}")
    assert window.tell("document.getElementById('m-rate').textContent") != position
    assert window.tell("globalThis.opened"), "it was not loaded again"
    assert len(window.sockets) == 1, "its socket outlived the time that a head may take"
    window.until("braid.state.fresh.length && document.querySelectorAll('#fresh .what').length")
    window.keep("desktop-light")


def test_a_click_looks_into_the_hierarchy(windows: Any) -> None:
    window = windows()
    window.drawn()
    window.until("braid.state.tree.length > 9")
    drawing = window.page.locator("[data-plot=tree] canvas").first
    assert not window.tell(f"Boolean({TREE}.parentNode)")
    drawing.click(position={"x": 40, "y": 40})
    window.until(f"{TREE}.parentNode")
    inside = window.tell(f"{TREE}.name")
    window.page.wait_for_timeout(6000)  # the next hierarchy has come
    assert window.tell(f"{TREE}.name") == inside, "it stays as it is while somebody looks"
    window.keep("hierarchy")
    drawing.click(position={"x": 20, "y": drawing.bounding_box()["height"] - 18})
    window.until(f"!{TREE}.parentNode")


def test_a_text_gets_tags_and_reasons(windows: Any) -> None:
    window = windows(size=PHONE)
    window.drawn()
    window.until("braid.state.rows.at(-1).at(-1) > 500")
    window.page.get_by_role("button", name="Tag").click()
    window.page.get_by_text("Type a text first.").wait_for()
    window.page.get_by_label("Text to tag").fill("plouflecrou fealitru cikefli troumeano gapiowe")
    window.page.get_by_role("button", name="Tag").click()
    window.page.locator("#answers .tag .label").first.wait_for()
    names = window.page.locator("#answers .tag .first .label").all_text_contents()
    assert len(names) == 5
    assert all(re.fullmatch(r"\w+-\d+", name) for name in names)
    reasons = window.page.locator("#answers .why").first.text_content()
    assert re.search(r"[+-]\d\.\d\d", reasons), reasons
    window.keep("answer-phone")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_can_read_it(windows: Any, scheme: str) -> None:
    window = windows(size=PHONE, scheme=scheme)
    window.drawn()
    assert window.tell("document.documentElement.scrollWidth") <= PHONE[0]
    small = window.tell(
        "[...document.querySelectorAll('body *')].filter((one) => one.childNodes.length"
        " && [...one.childNodes].some((part) => part.nodeType === 3 && part.data.trim())"
        " && one.checkVisibility() && parseFloat(getComputedStyle(one).fontSize) < 13)"
        ".map((one) => one.textContent)"
    )
    assert small == []
    assert _is_dark(window) == (scheme == "dark"), "it follows the system"
    assert _contrast(window) > 7
    window.keep(f"phone-{scheme}")
    button = window.page.get_by_role("button", name="Theme")
    button.click()
    window.until("document.body.classList.contains('body--dark')")
    button.click()
    window.until("!document.body.classList.contains('body--dark')")
    assert not _is_dark(window)
    assert _contrast(window) > 7


def test_five_pages_at_once(windows: Any, address: str) -> None:
    opened = [windows() for _ in range(5)]
    for window in opened:
        window.drawn()
    before = [window.tell("braid.state.rows.length") for window in opened]
    for window, rows in zip(opened, before, strict=True):
        window.until(f"braid.state.rows.length >= {rows + 3}")
    assert httpx.get(f"{address}/readyz").json()["ready"]
    text = httpx.get(f"{address}/metrics").text
    assert 'braid_http_requests_total{route="/",status="200"}' in text
    assert "_nicegui/*" in text


def test_a_socket_of_another_site_is_refused(address: str) -> None:
    url = address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with connect(url, origin=address):
        pass
    with pytest.raises(websockets.InvalidStatus, match="403"):
        connect(url, origin="http://elsewhere.example")


def test_tokens_a_process_of_its_own_and_hostile_names(chrome: Any, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"looker predict,feedback {SECRET}\nteller feedback teller-secret-002\n")
    with service(f"serve.tokens_file={tokens}", "serve.process=true", nice=10) as (_, where):
        window = Window(chrome, where)
        asked = window.page.get_by_label("Token")
        for wrong in ("nobody-secret-0001", "teller-secret-002"):
            asked.fill(wrong)
            window.page.get_by_role("button", name="Open").click()
            window.page.get_by_text("lacks the scope predict").wait_for()
        assert not window.tell("braid.state.rows.length")
        window.keep("login")
        asked.fill(SECRET)
        window.page.get_by_role("button", name="Open").click()
        window.drawn()
        assert SECRET not in window.page.url + window.page.content()
        shown = f"braid.state.fresh.some(([, name]) => name.startsWith({json.dumps(HOSTILE)}))"
        for turn in range(100):  # the stream's own new labels push others out of the list
            labels = [f"{HOSTILE}{turn}-{n}" for n in range(20)]
            sent = httpx.post(
                f"{where}/v1/events", headers={"authorization": f"Bearer {SECRET}"},
                json={"events": [{"id": f"x{turn}", "text": "x", "labels": labels}]},
            )  # fmt: skip
            assert sent.status_code == 202, sent.text
            window.page.wait_for_timeout(400)
            if window.tell(shown):
                break
        else:
            pytest.fail("no such label was shown")
        window.page.wait_for_timeout(2000)
        assert window.page.title() == "Braidstream"
        tokens.write_text("other predict other-secret-00001\n")
        asked.wait_for()  # a token that was taken out ends the page
        assert window.wrong == []
        window.close()


def _is_dark(window: Window) -> bool:
    return _luminance(window, "backgroundColor", "document.body") < 0.2


def _contrast(window: Window) -> float:
    parts = [
        _luminance(window, name, "document.querySelector('.card')")
        for name in ("color", "backgroundColor")
    ]
    return (max(parts) + 0.05) / (min(parts) + 0.05)


def _luminance(window: Window, name: str, element: str) -> float:
    told = window.tell(f"getComputedStyle({element}).{name}")
    parts = [int(part) / 255 for part in re.findall(r"\d+", told)[:3]]
    linear = [part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
