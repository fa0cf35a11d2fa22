"""A client of the endpoint, over httpx: `pip install 'braidstream[client]'`.

Answers are typed. What the endpoint refuses for the moment (429 and 503) is asked again after the
pause that it asks for, and so is what never reached it; what else goes wrong is an error that
carries the endpoint's own words.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote

try:
    import httpx
except ImportError:
    from stream.errors import MissingExtra

    raise MissingExtra("the client", "client") from None

from stream.errors import BraidError

Event = str | Mapping[str, Any]
"""A text, or an event as the endpoint takes it."""

_AGAIN = {429, 503}
_FIRST_S = 0.25
_LONGEST_S = 30.0


class ClientError(BraidError):
    """The endpoint refused, or could not be reached.

    Parameters
    ----------
    message
        What the endpoint says, with its title.
    status
        Of HTTP; 0 where there was no answer.
    problem
        The problem document, empty where there was none.
    """

    def __init__(
        self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}
        self.retriable = status in _AGAIN or status == 0


@dataclass(frozen=True)
class Scored:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Reason:
    """Why a label got its score: `parts`, by expert, sum to its `log_odds`."""

    label: str
    score: float
    log_odds: float
    partition: int
    by_index: bool
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Exemplar:
    """A labelled event like the one asked about, and how many events ago it was."""

    similarity: float
    ago: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an event got its labels."""

    labels: tuple[Reason, ...]
    exemplars: tuple[Exemplar, ...]


@dataclass(frozen=True)
class Tagged:
    """The labels of one event.

    Parameters
    ----------
    id
        Of the event; where none was given, its place in the request.
    top
        The likeliest labels, best first.
    chosen
        The set that fits the service's objective best.
    position
        Labelled events that the model had learnt.
    explanation
        Where it was asked for.
    """

    id: str
    top: tuple[Scored, ...]
    chosen: tuple[str, ...]
    position: int
    explanation: Explanation | None = None


@dataclass(frozen=True)
class _Call:
    path: str
    body: Mapping[str, Any] | None
    method: str = "POST"


def _predicting(events: Sequence[Event], **asked_for: Any) -> _Call:
    if isinstance(events, str):
        raise TypeError("events is one string: pass a list, such as [text]")
    asked = [{"text": one} if isinstance(one, str) else dict(one) for one in events]
    named = {name: value for name, value in asked_for.items() if value is not None}
    return _Call("/v1/predict", {"events": asked} | named)


def _teaching(labels: Mapping[str, Sequence[str]]) -> _Call:
    given = [{"id": name, "labels": list(those)} for name, those in labels.items()]
    return _Call("/v1/feedback", {"events": given})


def _telling(label: str, text: str | None) -> _Call:
    # a client would take dots between slashes for steps in the path
    path = "/v1/labels/" + quote(label, safe="/").replace(".", "%2E")
    return (
        _Call(path, None, "DELETE") if text is None else _Call(path, {"description": text}, "PUT")
    )


def _tagged(body: Any) -> list[Tagged]:
    return [
        Tagged(
            one["id"],
            tuple(Scored(each["label"], each["score"]) for each in one["top"]),
            tuple(one["chosen"]),
            one["position"],
            _explained(one.get("explanation")),
        )
        for one in body["predictions"]
    ]


def _explained(body: Any) -> Explanation | None:
    if body is None:
        return None
    found = [(one["similarity"], one["ago"], tuple(one["labels"])) for one in body["exemplars"]]
    return Explanation(
        tuple(Reason(**one) for one in body["labels"]), tuple(Exemplar(*one) for one in found)
    )


class _Policy:
    """Whether and when to ask again."""

    def __init__(self, retries: int, patience_s: float) -> None:
        self._left, self._patience_s = retries, patience_s
        self._next_s = _FIRST_S

    def pause(self, failed: ClientError, asked_s: float | None) -> float:
        """Seconds until the next try; raises `failed` where there is to be none."""
        pause = self._next_s * random.uniform(0.5, 1.5) if asked_s is None else asked_s
        if self._left == 0 or not failed.retriable or pause > self._patience_s:
            raise failed
        self._left -= 1
        self._next_s = min(2 * self._next_s, _LONGEST_S)
        self._patience_s -= pause
        return pause


def _failure(answer: httpx.Response) -> tuple[ClientError, float | None] | None:
    """What is wrong with an answer, and after how many seconds it wants to be asked again."""
    if answer.is_success:
        return None
    try:
        problem = dict(answer.json())
    except (TypeError, ValueError):  # a gateway's page, say
        problem = {}
    words = ": ".join(str(problem[name]) for name in ("title", "detail") if name in problem)
    after = answer.headers.get("retry-after", "")
    failed = ClientError(words or f"HTTP {answer.status_code}", answer.status_code, problem)
    return failed, float(after) if after.isdecimal() else None


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        failed = ClientError(f"{answer.url} is not Braidstream: {answer.text[:80]!r}")
        failed.retriable = False
        raise failed from None


def _unreached(error: httpx.TransportError, url: str) -> ClientError:
    """Only what cannot have been taken is asked again: an answer may have been lost."""
    failed = ClientError(f"{url} cannot be reached: {error or type(error).__name__}")
    never = httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    failed.retriable = isinstance(error, never)
    return failed


def _options(url: str, token: str | None, timeout_s: float, more: Any) -> dict[str, Any]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return {"base_url": url, "headers": headers, "timeout": timeout_s, **more}


class Client:
    """Asks from one thread or many; close it, or use it as a context manager.

    Parameters
    ----------
    url
        Of the service, such as `http://localhost:8080`.
    token
        Its bearer token, where it asks for one.
    timeout_s
        Seconds that a try may take.
    retries
        How often a request is made again at most.
    patience_s
        Seconds that may be spent on pauses in all; a longer one that is asked for is an error.
    more
        For `httpx.Client`, such as `verify`.

    Examples
    --------
    >>> Client("http://localhost:8080").predict("a text")
    Traceback (most recent call last):
    TypeError: events is one string: pass a list, such as [text]
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = 10.0, retries: int = 4,
        patience_s: float = 60.0, **more: Any,
    ) -> None:  # fmt: skip
        self._url, self._retries, self._patience_s = url, retries, patience_s
        self._http = httpx.Client(**_options(url, token, timeout_s, more))

    def predict(
        self, events: Sequence[Event], k: int | None = None, *, threshold: float | None = None,
        labels: Sequence[str] | None = None, explain: bool | None = None,
    ) -> list[Tagged]:  # fmt: skip
        """Tag texts or events, in their order.

        Parameters
        ----------
        events
            Texts, or events as the endpoint takes them.
        k
            Labels of each; by default as the service has it.
        threshold
            The least score of a label in `top`.
        labels
            Of which alone to answer.
        explain
            Whether to say why.

        Raises
        ------
        ClientError
            See `retriable`, `status` and `problem`.
        """
        call = _predicting(events, k=k, threshold=threshold, labels=labels, explain=explain)
        return _tagged(self._ask(call))

    def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Send events, labelled or not, the way that all events come; how many were taken."""
        return int(self._ask(_Call("/v1/events", {"events": list(events)}))["accepted"])

    def teach(self, labels: Mapping[str, Sequence[str]]) -> int:
        """Send the labels of earlier events, by their ids; how many were taken."""
        return int(self._ask(_teaching(labels))["accepted"])

    def describe(self, label: str, text: str) -> None:
        """Say what a label means, so that it is found before its first event."""
        self._ask(_telling(label, text))

    def retire(self, label: str) -> None:
        """Let a label be predicted no more."""
        self._ask(_telling(label, None))

    def _ask(self, call: _Call) -> Any:
        policy = _Policy(self._retries, self._patience_s)
        while True:
            after = None
            try:
                answer = self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                failed = _unreached(error, self._url)
            else:
                found = _failure(answer)
                if found is None:
                    return _body(answer)
                failed, after = found
            time.sleep(policy.pause(failed, after))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class AsyncClient:
    """`Client` for asyncio; its parameters and methods are the same."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = 10.0, retries: int = 4,
        patience_s: float = 60.0, **more: Any,
    ) -> None:  # fmt: skip
        self._url, self._retries, self._patience_s = url, retries, patience_s
        self._http = httpx.AsyncClient(**_options(url, token, timeout_s, more))

    async def predict(
        self, events: Sequence[Event], k: int | None = None, *, threshold: float | None = None,
        labels: Sequence[str] | None = None, explain: bool | None = None,
    ) -> list[Tagged]:  # fmt: skip
        """See `Client.predict`."""
        call = _predicting(events, k=k, threshold=threshold, labels=labels, explain=explain)
        return _tagged(await self._ask(call))

    async def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """See `Client.send`."""
        return int((await self._ask(_Call("/v1/events", {"events": list(events)})))["accepted"])

    async def teach(self, labels: Mapping[str, Sequence[str]]) -> int:
        """See `Client.teach`."""
        return int((await self._ask(_teaching(labels)))["accepted"])

    async def describe(self, label: str, text: str) -> None:
        """See `Client.describe`."""
        await self._ask(_telling(label, text))

    async def retire(self, label: str) -> None:
        """See `Client.retire`."""
        await self._ask(_telling(label, None))

    async def _ask(self, call: _Call) -> Any:
        policy = _Policy(self._retries, self._patience_s)
        while True:
            after = None
            try:
                answer = await self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                failed = _unreached(error, self._url)
            else:
                found = _failure(answer)
                if found is None:
                    return _body(answer)
                failed, after = found
            await asyncio.sleep(policy.pause(failed, after))

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        await self.close()
