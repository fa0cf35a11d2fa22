"""What the client's errors mean to us: one mapping, used wherever Kafka is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kafka import errors as kafka_errors

from stream.config import Kafka
from stream.errors import AccessDenied, BraidError, RetentionGap, SourceError, Unavailable

REFUSED_LOGIN = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)
GONE = (kafka_errors.OffsetOutOfRangeError, kafka_errors.LogTruncationError)
UNREACHABLE = (kafka_errors.RetriableError, kafka_errors.BrokerNotAvailableError, OSError)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those it carries: the client wraps the telling one in its arguments."""
    yield error
    for inner in (*error.args, error.__cause__):
        if isinstance(inner, BaseException):
            yield from causes(inner)


def carries(error: BaseException, kinds: type | tuple[type, ...]) -> bool:
    """Whether the error or one that it carries is of these kinds."""
    return any(isinstance(cause, kinds) for cause in causes(error))


def translate(error: BaseException, settings: Kafka, right: str = "Read") -> BraidError:
    """Say what a client's error means.

    Parameters
    ----------
    right
        The right on a topic that was needed: Read, Write, Create or Describe.
    """
    for cause in causes(error):
        if isinstance(cause, kafka_errors.AuthorizationError):
            return denied(*_right(cause, settings, right), settings)
        if isinstance(cause, REFUSED_LOGIN):
            return AccessDenied(
                f"the brokers refused the login of {_user(settings)} ({words(cause)})",
                remedy="look at kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password",
            )
        if isinstance(cause, GONE):
            return RetentionGap(
                f"the next records are gone from the topic ({words(cause)})",
                remedy="keep records for longer; to go on without them start again with "
                "kafka.accept_gap=true, or with an empty snapshot folder",
            )
    if carries(error, UNREACHABLE):
        return Unavailable(
            f"Kafka at {settings.bootstrap_servers} cannot be reached ({words(error)})",
            remedy="look at kafka.bootstrap_servers and at the brokers" + _or_refused(settings),
        )
    return SourceError(f"Kafka: {words(error)}", remedy="see the log of the brokers")


def _or_refused(settings: Kafka) -> str:
    """More to look at: over TLS a refusal may look like a broker that hangs up."""
    if settings.security_protocol == "PLAINTEXT":
        return ""
    login = ", kafka.sasl_username and kafka.sasl_password"
    return "; or they refuse us: look at kafka.security_protocol, kafka.ssl_cafile" + (
        login if settings.security_protocol.startswith("SASL") else ""
    )


def denied(right: str, resource: str, settings: Kafka) -> AccessDenied:
    """The error for a missing right."""
    return AccessDenied(
        f"{_user(settings)} lacks the right {right} on {resource}",
        remedy=f"grant {right} on {resource}",
    )


def _right(cause: kafka_errors.AuthorizationError, settings: Kafka, right: str) -> tuple[str, str]:
    """The missing right and the resource."""
    if isinstance(cause, kafka_errors.GroupAuthorizationFailedError):
        return "Read", f"group {settings.group}"
    if isinstance(cause, kafka_errors.TransactionalIdAuthorizationFailedError):
        return "Write", f"transactional id {transactional_id(settings)}"
    if isinstance(cause, kafka_errors.TopicAuthorizationFailedError):
        return right, f"topic {_names(cause.args)}"
    return "Create" if right == "Create" else "IdempotentWrite", "cluster"


def transactional_id(settings: Kafka) -> str:
    """The id that fences an earlier run of the same member, and nobody else."""
    return f"{settings.group}-{settings.member}"


def _names(args: tuple[object, ...]) -> str:
    """The topics in an error's arguments: the client puts a name or a set of names there."""
    first = args[0] if args else "(not named by the broker)"
    if isinstance(first, Iterable) and not isinstance(first, str):
        return ", ".join(sorted(map(str, first)))
    return str(first)


def _user(settings: Kafka) -> str:
    return f"user {settings.sasl_username}" if settings.sasl_username else "this client"


def words(error: BaseException) -> str:
    """An error in one line."""
    name, said = type(error).__name__, " ".join(str(error).split())
    if said.endswith(": None"):  # the broker gave no words of its own
        said = str(getattr(error, "description", "") or "")
    return said if name in said else f"{name}: {said}".rstrip(": ")
