"""Every error that Braidstream raises on purpose.

BraidError
├── SettingError          a setting is wrong; the start ends with one line
├── MissingExtra          an optional dependency is not installed
├── InvalidRecord         one record cannot be used; it goes to the dead letters
├── InvalidRequest        one HTTP request cannot be used; it gets a 4xx
├── Conflict              the state of the service does not allow it now; it gets a 409
├── Overloaded            the endpoint is full; ask again later            (retriable)
├── NotReady              the model has no view yet                        (retriable)
├── SnapshotError         a snapshot is damaged, foreign or unreadable
├── RetentionGap          records between our position and the topic's start are gone
├── SourceError           the source failed
│   ├── Unavailable       the cluster or file cannot be reached             (retriable)
│   └── AccessDenied      a right is missing; the message names it
└── CommitFailed          a transaction did not commit
    ├── LeaseLost         the lease moved on; drop it, the new owner publishes
    └── Fenced            another process holds our transactional id; exit

Each carries `remedy`, the sentence for whoever operates the service.
"""

from __future__ import annotations


class BraidError(Exception):
    """Base of the tree; `str(error)` is one line, `remedy` says what to do."""

    retriable = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class SettingError(BraidError):
    """A setting has a value that cannot work."""

    def __init__(self, setting: str, value: object, instead: str) -> None:
        super().__init__(f"{setting}={value!r} cannot work: {instead}", remedy=instead)
        self.setting = setting


class MissingExtra(BraidError):
    """A feature needs an extra that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        remedy = f"install it with: pip install 'braidstream[{extra}]'"
        super().__init__(f"{feature} needs the extra {extra!r}; {remedy}", remedy=remedy)
        self.extra = extra


class InvalidRecord(BraidError):
    """A record that cannot be used; `reason` is one of `stream.codec.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}", remedy="see the dead letter's headers")
        self.reason = reason
        self.detail = detail


class InvalidRequest(BraidError):
    """A request that cannot be used; `field` names the part that is wrong."""

    def __init__(self, field: str, message: str, *, status: int = 422) -> None:
        super().__init__(message, remedy=message)
        self.field = field
        self.status = status


class Conflict(BraidError):
    """What was asked for cannot be done as the service stands; the message says what can be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, remedy=message)


class Overloaded(BraidError):
    """The endpoint's queue is full or the deadline would pass."""

    retriable = True

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message, remedy=f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class NotReady(BraidError):
    """There is no model view yet."""

    retriable = True


class SnapshotError(BraidError):
    """A snapshot is damaged, of another format, or cannot be written or read."""


class RetentionGap(BraidError):
    """The topic no longer holds records that the model has not learnt."""


class SourceError(BraidError):
    """A source of records failed."""


class Unavailable(SourceError):
    """The cluster or the file cannot be reached now."""

    retriable = True


class AccessDenied(SourceError):
    """A right is missing; the message names the right and the resource."""


class CommitFailed(BraidError):
    """A transaction was aborted; nothing of it is visible."""

    retriable = True


class LeaseLost(CommitFailed):
    """The partitions belong to another member now."""

    retriable = False


class Fenced(CommitFailed):
    """Another process runs with our transactional id."""

    retriable = False
