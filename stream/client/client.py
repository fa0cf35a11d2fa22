"""The clients, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from stream.client.answers import Tagged, tagged
from stream.client.calls import Call, Event, predicting, teaching, telling
from stream.client.trying import Policy, content, failure, options, unreached


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
        self._http = httpx.Client(**options(url, token, timeout_s, more))

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
        call = predicting(events, k=k, threshold=threshold, labels=labels, explain=explain)
        return tagged(self._ask(call))

    def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Send events, labelled or not, the way that all events come; how many were taken."""
        return int(self._ask(Call("/v1/events", {"events": list(events)}))["accepted"])

    def teach(self, labels: Mapping[str, Sequence[str]]) -> int:
        """Send the labels of earlier events, by their ids; how many were taken."""
        return int(self._ask(teaching(labels))["accepted"])

    def describe(self, label: str, text: str) -> None:
        """Say what a label means, so that it is found before its first event."""
        self._ask(telling(label, text))

    def retire(self, label: str) -> None:
        """Let a label be predicted no more."""
        self._ask(telling(label, None))

    def roll_back(self) -> tuple[int, int]:
        """Let the index go back to the generation before: the numbers of both, from and to.

        It takes over once it is filled; no embedding is trained from then on, until `resume`.
        """
        answer = self._ask(Call("/v1/generations/rollback", None))
        return answer["from"], answer["to"]

    def resume(self) -> None:
        """Let embeddings be trained again, after `roll_back`."""
        self._ask(Call("/v1/generations/resume", None))

    def _ask(self, call: Call) -> Any:
        policy = Policy(self._retries, self._patience_s)
        while True:
            after = None
            try:
                answer = self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                failed = unreached(error, self._url)
            else:
                found = failure(answer)
                if found is None:
                    return content(answer)
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
        self._http = httpx.AsyncClient(**options(url, token, timeout_s, more))

    async def predict(
        self, events: Sequence[Event], k: int | None = None, *, threshold: float | None = None,
        labels: Sequence[str] | None = None, explain: bool | None = None,
    ) -> list[Tagged]:  # fmt: skip
        """See `Client.predict`."""
        call = predicting(events, k=k, threshold=threshold, labels=labels, explain=explain)
        return tagged(await self._ask(call))

    async def send(self, events: Sequence[Mapping[str, Any]]) -> int:
        """See `Client.send`."""
        return int((await self._ask(Call("/v1/events", {"events": list(events)})))["accepted"])

    async def teach(self, labels: Mapping[str, Sequence[str]]) -> int:
        """See `Client.teach`."""
        return int((await self._ask(teaching(labels)))["accepted"])

    async def describe(self, label: str, text: str) -> None:
        """See `Client.describe`."""
        await self._ask(telling(label, text))

    async def retire(self, label: str) -> None:
        """See `Client.retire`."""
        await self._ask(telling(label, None))

    async def roll_back(self) -> tuple[int, int]:
        """See `Client.roll_back`."""
        answer = await self._ask(Call("/v1/generations/rollback", None))
        return answer["from"], answer["to"]

    async def resume(self) -> None:
        """See `Client.resume`."""
        await self._ask(Call("/v1/generations/resume", None))

    async def _ask(self, call: Call) -> Any:
        policy = Policy(self._retries, self._patience_s)
        while True:
            after = None
            try:
                answer = await self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                failed = unreached(error, self._url)
            else:
                found = failure(answer)
                if found is None:
                    return content(answer)
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
