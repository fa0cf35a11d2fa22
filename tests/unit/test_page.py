"""What the live page shows, without a browser: readings, history, hierarchy, who may look."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from stream.clock import ManualClock, SystemClock
from stream.config import load
from stream.errors import NotReady
from stream.learn.drift import DriftBank
from stream.metrics import Metrics
from stream.serve.app import create_app
from stream.serve.page.figures import CHANGES
from stream.serve.page.history import COLUMNS, KEPT_S, History
from stream.serve.page.mount import Live, Page
from stream.serve.page.reading import Reading, quantile, reader
from stream.serve.page.treemap import Hierarchy, nodes
from stream.serve.view import TreeNode
from stream.types import DriftEvent


def counted() -> Metrics:
    metrics = Metrics()
    metrics.count("braid_events_total", 7, action="learnt")
    metrics.count("braid_events_total", 9, action="predicted")
    for reason in ("no_id", "not_json"):
        metrics.count("braid_dead_letters_total", 2, reason=reason)
    for name, value in (("lag_records", 3), ("position_events", 70), ("partitions", 4)):
        metrics.set(f"braid_{name}", value)
    metrics.set("braid_labels", 30)
    metrics.set("braid_precision_at", 0.75, k="1")
    metrics.count("braid_drift_events_total", 5, kind="split")
    for seconds in (0.004, 0.04, 0.4):
        metrics.observe("braid_step_seconds", seconds)
    metrics.observe("braid_http_seconds", 0.02, route="/v1/predict")
    metrics.observe("braid_http_seconds", 2.0, route="/v1/labels")
    for route, status in (("/v1/predict", "200"), ("unmatched", "429"), ("/v1/model", "200")):
        metrics.count("braid_http_requests_total", route=route, status=status)
    return metrics


def test_a_text_reads_as_the_registry_does() -> None:
    metrics = counted()
    here = reader(metrics, None)()
    assert (here.learnt, here.predicted, here.dead, here.lag) == (7, 9, 4, 3)
    assert (here.position, here.labels, here.partitions) == (70, 30, 4)
    assert (here.precision, here.drift) == ({"1": 0.75}, {"split": 5})
    assert (here.asked, here.refused) == (1, 1)
    assert here.step[math.inf] == 3
    assert here.http[math.inf] == 1, "of predict alone"
    apart = reader(metrics, lambda: metrics.exposition(http=False))()
    assert apart == here


def test_quantiles_are_of_what_came_between() -> None:
    before = {0.1: 50.0, 1.0: 50.0, math.inf: 50.0}
    now = {0.1: 50.0, 1.0: 60.0, math.inf: 60.0}
    assert quantile(before, now, 0.5) == pytest.approx(0.55)
    assert quantile(before, before, 0.5) is None
    assert quantile({}, {}, 0.5) is None
    assert quantile({}, {0.1: 0.0, math.inf: 4.0}, 0.5) == 0.1, "the last bound that is known"


class Told:
    """Counters and drift events as a test sets them."""

    def __init__(self) -> None:
        self.reading, self.events = Reading(), [DriftEvent("split", "partition/1", 1, {"other": 2})]
        self.looks, self.ready, self.clock = 0, True, ManualClock(100.0)
        self.history = History(lambda: self.reading, self, self.clock)

    def current(self) -> Any:
        if not self.ready:
            raise NotReady("no view")
        self.looks += 1
        return SimpleNamespace(drift=lambda: list(self.events))

    def status(self) -> dict[str, Any]:
        return {"problems": ["one is held"]}

    def sample(self, **what: Any) -> None:
        self.clock.advance(2)
        self.reading = Reading(**what)
        self.history.sample()

    def since(self, seen: tuple[int, int, int]) -> tuple[tuple[int, int, int], Any]:
        counts, body = self.history.since(seen)
        return counts, orjson.loads(body)


def test_history_divides_counters_and_tells_what_is_new() -> None:
    told = Told()
    told.sample(learnt=10, dead=1, position=10, precision={"1": 0.5}, drift={"split": 1})
    seen, first = told.since((0, 0, 0))
    assert first["rows"] == [], "a rate takes two"
    assert [event[1:] for event in first["events"]] == [[2, "partition 1 split off 2, 0 labels\n"]]
    assert first["problems"] == ["one is held"]
    told.events += [
        DriftEvent("new_label", "label/x/y", 2, {}),
        DriftEvent("global_alarm", "global", 3, {"loss_before": 0.1, "loss_after": 0.5}),
    ]
    told.sample(learnt=30, dead=1, position=30, precision={"1": 0.5}, drift={"split": 3})
    told.sample(learnt=30, position=30, drift={"split": 3})
    seen, later = told.since(seen)
    row = dict(zip(COLUMNS, later["rows"][0], strict=True))
    assert (row["learnt"], row["dead"], row["p1"], row["p5"]) == (10, 0, 0.5, None)
    assert dict(zip(COLUMNS, later["rows"][1], strict=True))["dead"] == 0, "never below zero"
    assert later["events"] == [[104_000, 0, "the whole stream: loss 0.10 → 0.50"]]
    assert later["fresh"] == [[104_000, "x/y"]]
    assert told.since(seen)[1]["rows"] == []
    assert told.looks == 2, "views are looked at where the counters moved"


def test_generations_that_take_over_are_on_the_timeline_and_refusals_are_not() -> None:
    told = Told()
    told.sample(drift={"split": 1})
    seen, _ = told.since((0, 0, 0))
    recalls = {"champion": {"recall": 0.41}, "challenger": {"recall": 0.52}}
    told.events += [
        DriftEvent("refusal", "encoder", 3, {"generation": 0, "outcome": "refused"}),
        DriftEvent("promotion", "encoder", 4, {"generation": 1, "before": 0} | recalls),
        DriftEvent("rollback", "encoder", 5, {"generation": 0, "before": 1}),
    ]
    told.sample(drift={"split": 1, "refusal": 1, "promotion": 1, "rollback": 1})
    assert [event[1:] for event in told.since(seen)[1]["events"]] == [
        [4, "generation 1 of the index takes over\nrecall 0.41 → 0.52"],
        [4, "somebody went back from generation 1 of the index to 0"],
    ]
    assert len(CHANGES) == 5


def test_history_is_bounded_and_waits_for_the_first_view() -> None:
    told = Told()
    told.ready = False
    told.sample(drift={"split": 1})
    told.ready = True
    for n in range(KEPT_S + 50):
        told.sample(drift={"split": 1}, learnt=n)
    counts, every = told.since((0, 0, 0))
    assert counts == (KEPT_S + 50, 1, 0)
    assert len(every["rows"]) == KEPT_S
    assert len(every["events"]) == 1


def tree() -> list[TreeNode]:
    def part(id: int, parent: int | None, size: int) -> TreeNode:
        return TreeNode(id, parent, True, size, 1.0, None, (f"l{id}", f"m{id}"))

    return [
        TreeNode(100, None, False, 40, 2.0, 1.5), part(1, 100, 30), part(2, 100, 10),
        part(3, None, 2),
    ]  # fmt: skip


def test_the_hierarchy_opens_to_what_can_be_read() -> None:
    accuracy = {1: 0.5, 2: 0.9, 3: -0.001}
    flat = nodes(tree(), accuracy)
    assert sorted(one["p"] for one in flat) == [1, 2, 3], "few are shown at once"
    first = next(one for one in flat if one["p"] == 1)
    assert first == {"n": "l1", "s": 30, "p": 1, "a": 0.5, "l": ["l1", "m1"], "m": 28}
    many = tree() + [TreeNode(n, None, True, 1, 1.0, None, (f"l{n}",)) for n in range(200, 240)]
    group = next(one for one in nodes(many, accuracy) if "c" in one)
    assert (group["n"], group["s"], group["a"]) == ("l1", 40, 0.6), "weighted by labels"
    assert [one["p"] for one in group["c"]] == [1, 2]
    assert next(one for one in nodes(many, accuracy) if one.get("p") == 239)["a"] is None
    assert nodes([], accuracy) == []


def test_the_hierarchy_is_made_as_rarely_as_it_may_be() -> None:
    made: list[int] = []
    view = SimpleNamespace(tree=lambda most: made.append(most) or tree(), accuracies=dict)
    clock = ManualClock()
    clock.advance(10)
    hierarchy = Hierarchy(SimpleNamespace(current=lambda: view), clock)

    async def look() -> bool:
        return await hierarchy.fresh(hierarchy.number)

    assert asyncio.run(hierarchy.fresh(0))
    assert not asyncio.run(look())
    assert len(made) == 1
    clock.advance(60)
    asyncio.run(look())
    assert len(made) == 2


def test_losses_are_those_of_the_detectors() -> None:
    bank = DriftBank(0.002)
    leaf_of = np.array([0, 1, 1], np.int32)
    truths, bounds = np.array([0, 1, 2], np.int32), np.array([0, 1, 3])
    bank.update(truths, bounds, np.array([1, 0, 1], np.uint8), np.zeros(2, np.float32), leaf_of, 3)
    losses = bank.losses()
    assert losses[:2].tolist() == [bank.loss(0), bank.loss(1)] == [0.0, 0.5]
    assert np.isnan(losses[2:]).all()


@pytest.mark.parametrize("page", [True, False])
def test_the_page_can_be_turned_off(page: bool) -> None:
    settings = load(environ={}, overrides=[f"serve.page={str(page).lower()}"])
    views = SimpleNamespace(current=None, status=lambda: {"ready": True})
    app = create_app(settings, views, None, Metrics(), SystemClock())
    assert (Page in [one.cls for one in app.user_middleware]) == page
    if page:
        return

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/", headers={"accept": "text/html"})

    assert asyncio.run(ask()).json()["service"] == "Braidstream"


def test_a_page_that_cannot_be_shown_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(window: object) -> None:
        raise NotReady("there is one already")

    monkeypatch.setattr("stream.serve.page.mount._make", fails)
    served = Page(lambda *_: None, Live(SimpleNamespace()))

    async def ask(accept: str) -> httpx.Response:
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/", headers={"accept": accept})

    for _ in range(2):
        found = asyncio.run(ask("text/html"))
        assert found.status_code == 503
        assert found.json()["detail"] == "there is one already"


def test_the_scripts_speak_of_no_other_place() -> None:
    import stream.serve.page

    folder = Path(stream.serve.page.__file__).parent / "assets"
    for file in folder.iterdir():
        assert "http" not in file.read_text().replace("http99", ""), file
