"""What may go wrong with a request, and when to ask again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import httpx

from stream.errors import BraidError

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


class Policy:
    """Whether and when to ask again; see `stream.client.Client` for its parameters."""

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


def failure(answer: httpx.Response) -> tuple[ClientError, float | None] | None:
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


def content(answer: httpx.Response) -> Any:
    """The JSON of an answer."""
    try:
        return answer.json()
    except ValueError:
        failed = ClientError(f"{answer.url} is not Braidstream: {answer.text[:80]!r}")
        failed.retriable = False
        raise failed from None


def unreached(error: httpx.TransportError, url: str) -> ClientError:
    """Only what cannot have been taken is asked again: an answer may have been lost."""
    failed = ClientError(f"{url} cannot be reached: {error or type(error).__name__}")
    never = httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    failed.retriable = isinstance(error, never)
    return failed


def options(url: str, token: str | None, timeout_s: float, more: Any) -> dict[str, Any]:
    """What both clients of httpx are made with."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return {"base_url": url, "headers": headers, "timeout": timeout_s, **more}
