"""Who may ask what: bearer tokens with scopes (RFC 6750), from a file that may change any time.

A line of the file is `NAME SCOPES SECRET`, with scopes divided by commas; a word that begins
with `#` begins a comment.
The secret stands there as itself or as `sha256:` and its digest in hex. Only digests are kept,
and a token is compared with all of them, so that the time taken tells nothing.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from stream.clock import Clock
from stream.errors import SettingError
from stream.metrics import Metrics
from stream.serve.problems import BY_STATUS, respond

SCOPES = ("predict", "feedback", "admin")
GUARDED = ("/v1/", "/v2")
LEAST = 16
"""Characters of a secret."""
SOURCE = "source"
"""Where a request's state has the name of its token."""
_LOOK_S = 1.0
_COMMENT = re.compile(r"(^|\s)#.*")
_OPEN = "/v2/health/"
_LOOKS = {"GET", "HEAD"}
_NEEDED = {"/v1/events": "feedback", "/v1/feedback": "feedback"}

_log = logging.getLogger(__name__)


def needed(path: str, method: str = "GET") -> str | None:
    """The scope that a request needs; None where all may make it."""
    if not path.startswith(GUARDED) or path.startswith(_OPEN):
        return None
    if path.startswith(("/v1/labels/", "/v1/generations/")) and method.upper() not in _LOOKS:
        return "admin"
    return _NEEDED.get(path, "predict")


@dataclass(frozen=True)
class Token:
    """One line of the file; `digest` is the SHA-256 of its secret."""

    name: str
    scopes: frozenset[str]
    digest: bytes

    def covers(self, scope: str) -> bool:
        """Whether it may do what needs a scope; an admin may do everything."""
        return scope in self.scopes or "admin" in self.scopes


def read(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises
    ------
    SettingError
        The file cannot be read, or a line is wrong; names the line, never what it holds.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"name a readable text file ({error})") from None
    tokens: list[Token] = []
    for number, line in enumerate(lines, 1):
        words = _COMMENT.sub("", line).split()
        if not words:
            continue
        try:
            name, scopes, secret = words
            tokens.append(Token(name, _scopes(scopes), _digest(secret)))
        except ValueError as error:
            why = str(error) if len(words) == 3 else f"write NAME {','.join(SCOPES)} SECRET"
            raise _wrong(path, f"line {number}: {why}") from None
        if len({one.name for one in tokens}) < len(tokens):
            raise _wrong(path, f"line {number}: give each token a name of its own")
    if not tokens:
        raise _wrong(path, "it holds no token, so nobody could ask; add one, or unset it")
    return tokens


class Keys:
    """The tokens in force: those of the file, read again within a second of its change.

    Raises
    ------
    SettingError
        The file is wrong at the start. Later the tokens from before stay in force.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._look()
        self._tokens: Sequence[Token] = read(path)
        self._due = clock.monotonic() + _LOOK_S

    def find(self, secret: bytes) -> Token | None:
        """The token with this secret."""
        self._follow()
        digest, found = sha256(secret).digest(), None
        for token in self._tokens:  # all of them, whichever fits
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _follow(self) -> None:
        if self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + _LOOK_S
        if (stamp := self._look()) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._tokens = read(self._path)
        except SettingError as error:
            _log.error("the tokens from before stay in force: %s", error)
        else:
            _log.info("%d tokens read from %s", len(self._tokens), self._path)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class Guard:
    """ASGI middleware: refuses, before a body is read, who may not ask.

    Parameters
    ----------
    app
        What it wraps.
    keys
        The tokens.
    metrics
        Where refusals are counted.
    """

    def __init__(self, app: ASGIApp, keys: Keys, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = needed(scope["path"], scope["method"]) if scope["type"] == "http" else None
        if wanted is None:
            await self._app(scope, receive, send)
            return
        found = self._judge(scope, wanted)
        if isinstance(found, Token):
            scope.setdefault("state", {})[SOURCE] = found.name
            await self._app(scope, receive, send)
            return
        status, reason, detail = found
        self._metrics.count("braid_http_refused_total", reason=reason)
        challenge = 'Bearer realm="braidstream"'
        if reason != "missing":
            challenge += f', error="{"invalid_token" if status == 401 else "insufficient_scope"}"'
        answer = respond(
            BY_STATUS[status], detail, [("authorization", detail)], {"WWW-Authenticate": challenge}
        )
        await answer(scope, receive, send)

    def _judge(self, scope: Scope, wanted: str) -> Token | tuple[int, str, str]:
        """The token, or why not: status, reason and what to do."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        kind, _, secret = (given[0] if len(given) == 1 else b"").partition(b" ")
        if kind.lower() != b"bearer" or not secret.strip():
            return 401, "missing", "send the header Authorization: Bearer TOKEN"
        token = self._keys.find(secret.strip())
        if token is None:
            return 401, "unknown", "this token is not known; ask the operator for one"
        if not token.covers(wanted):
            return 403, "scope", f"this token lacks the scope {wanted}; ask for one that has it"
        return token


def _scopes(text: str) -> frozenset[str]:
    scopes = frozenset(text.split(","))
    if not scopes <= set(SCOPES):
        raise ValueError(f"scopes are {', '.join(SCOPES)}, divided by commas alone")
    return scopes


def _digest(secret: str) -> bytes:
    if secret.startswith("sha256:"):
        if not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", secret):
            raise ValueError("write 64 hex digits after sha256:")
        return bytes.fromhex(secret.removeprefix("sha256:"))
    if len(secret) < LEAST:
        raise ValueError(f"use a secret of at least {LEAST} characters")
    return sha256(secret.encode()).digest()


def _wrong(path: Path, instead: str) -> SettingError:
    return SettingError("serve.tokens_file", str(path), instead)
