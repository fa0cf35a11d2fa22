"""The Kafka sink: outputs and offsets in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import OffsetAndMetadata
from kafka import TopicPartition as KafkaPartition
from kafka import errors as kafka_errors

from stream.config import Kafka
from stream.errors import AccessDenied, BraidError, CommitFailed, Fenced, LeaseLost, Unavailable
from stream.source.base import Lease, Outgoing, Unpublishable
from stream.source.kafka import client
from stream.source.kafka.faults import UNREACHABLE, carries, transactional_id, translate, words
from stream.source.kafka.outcome import committed
from stream.types import TopicPartition

log = logging.getLogger(__name__)

_FENCED = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)
_LOST = (
    kafka_errors.CommitFailedError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.RebalanceInProgressError,
)
_REFUSED = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
)
_NEVER = (*_REFUSED, kafka_errors.InvalidTopicError, ValueError, TypeError)
_PAUSE_S = 0.2
_ERRORS = (kafka_errors.KafkaError, OSError, ValueError, TypeError)


class KafkaSink:
    """Publishes under a lease; see `stream.source.base.Sink`.

    To be called from one thread, which a watchdog should guard: steps 4 and 5 wait for the
    brokers without limit, since only they know whether a transaction was committed.

    Raises
    ------
    Unavailable, AccessDenied
        As for the source; construction ends the transactions of an earlier run of this member.
    """

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self._flush_s = settings.transaction_timeout_ms / 1_000
        self._ended: BraidError | None = None
        self._lease: Lease | None = None
        self._stands: dict[TopicPartition, int] = {}
        """Where the group stands, as far as this lease has brought it."""
        self._producer: Any = self._open()

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Publish all records and positions, or none, in this order:

        1. begin a transaction;
        2. send every record;
        3. wait until every send has succeeded (an expired one would not stop a commit);
        4. add the positions under the lease's generation, which the group checks;
        5. commit.

        A failure in 1 to 4 aborts. One in 5 leaves the outcome unknown to us: a new producer
        ends what is open, and the group's offsets tell. Where they do not, the process must end
        and start again from what the brokers know.

        Raises
        ------
        CommitFailed
            Nothing was published. The same call may be made again if it is `retriable`.
        Unpublishable
            Nothing was published. Some records cannot be at all: too large for their topic.
        LeaseLost, Fenced, AccessDenied
            Nothing was published, and the same call cannot succeed.
        """
        if self._ended is not None:  # a new producer would fence whoever fenced us
            raise self._ended
        if lease.token is None:
            raise LeaseLost("nothing is leased")
        if lease is not self._lease:
            self._lease, self._stands = lease, dict(lease.published)
        if self._producer is None:
            self._producer = self._reopen()
        producer = self._producer
        doing = "begin"
        sent: list[Any] = []
        try:
            producer.begin_transaction()
            for one in records:
                doing = f"send to {one.topic}"
                nothing = one.key is None and one.value is None  # the client refuses such a one
                value = b"" if nothing else one.value
                sent.append(producer.send(one.topic, value, one.key, list(one.headers)))
            doing = "flush"
            producer.flush(self._flush_s)
            for one, future in zip(records, sent, strict=True):
                doing = f"send to {one.topic}"
                future.get(timeout=0)
            doing = "add the positions"
            if positions:
                producer.send_offsets_to_transaction(_offsets(positions), lease.token)
        except _ERRORS as error:
            refused = _refused(error, records, sent)
            self._abort(error)
            raise self._final(self._meaning(error, doing, refused)) from error
        try:
            producer.commit_transaction()
        except _ERRORS as error:
            self._discard()
            if not self._done(error, positions):
                raise CommitFailed(
                    f"the transaction was aborted, could not commit: {words(error)}"
                ) from error
        self._stands |= positions

    def close(self) -> None:
        """Release the connection; idempotent."""
        self._discard()

    def _open(self) -> Any:
        made = client.publisher(self._settings)
        try:
            made.init_transactions()
        except _ERRORS as error:
            client.close_producer(made, 1.0)
            meant = self._meaning(error, "start")
            raise meant if isinstance(meant, Fenced) else self._plain(error) from error
        return made

    def _reopen(self) -> Any:
        """A producer after a failed commit; its start ends what that left open."""
        try:
            return self._open()
        except Unavailable as error:
            raise CommitFailed(str(error), remedy=error.remedy) from error
        except Fenced as error:
            self._final(error)
            raise

    def _abort(self, error: BaseException) -> None:
        """Abort now where the brokers answer; else the next producer's start does it.

        The producer is thrown away: it keeps the offsets of a refused commit, and would add
        them to its next transaction, perhaps under another lease.
        """
        if not carries(error, (*UNREACHABLE, *_FENCED)):
            try:
                self._producer.abort_transaction()
            except kafka_errors.KafkaError as again:
                log.warning("abort failed too, left to the brokers: %s", again)
        self._discard()

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            client.close_producer(producer, 1.0)

    def _plain(self, error: BaseException) -> BraidError:
        return translate(error, self._settings, "Write")

    def _meaning(self, error: BaseException, doing: str, refused: Sequence[int] = ()) -> BraidError:
        if carries(error, _FENCED):
            return self._fenced()
        if carries(error, _LOST):
            return LeaseLost(f"the group has given the partitions to another member ({error})")
        meant = self._plain(error)
        if isinstance(meant, AccessDenied):
            return meant
        why = f"could not {doing}: {words(error)}"
        if refused:
            remedy = "raise max.message.bytes of the topic"
            return Unpublishable(f"the transaction was aborted, {why}", refused, remedy=remedy)
        failed = CommitFailed(f"the transaction was aborted, {why}", remedy=meant.remedy)
        if carries(error, _NEVER):
            failed.retriable = False
            failed.remedy = "look at the names of the topics"
        return failed

    def _final(self, meant: BraidError) -> BraidError:
        if isinstance(meant, Fenced):
            self._ended = meant
        return meant

    def _done(self, error: BaseException, positions: Mapping[TopicPartition, int]) -> bool:
        """Whether a transaction whose commit failed was committed all the same.

        Raises
        ------
        Fenced, AccessDenied
            It cannot be known, or the failure is of that kind.
        """
        meant = self._meaning(error, "commit")
        if isinstance(meant, (Fenced, AccessDenied)):
            raise self._final(meant) from error
        log.warning("whether a transaction was committed is asked for: %s", words(error))
        end = time.monotonic() + self._flush_s
        while positions.keys() <= self._stands.keys() and positions:
            try:
                self._producer = self._open()
                if (found := committed(self._settings, self._stands, positions)) is not None:
                    return found
                break
            except (Unavailable, *_ERRORS) as again:
                self._discard()
                if time.monotonic() > end:
                    log.warning("that is not known either: %s", again)
                    break
                time.sleep(_PAUSE_S)
        self._discard()
        raise self._final(
            Fenced(
                f"whether the transaction was committed is not known ({error})",
                remedy="start again: it goes on from what the brokers have committed",
            )
        ) from error

    def _fenced(self) -> Fenced:
        return Fenced(
            f"another process runs with the transactional id {transactional_id(self._settings)}, "
            "or ours was silent for kafka.transaction_timeout_ms",
            remedy="give each process its own kafka.member",
        )


def _refused(
    error: BaseException, records: Sequence[Outgoing], sent: Sequence[Any]
) -> Sequence[int]:
    """The place of a record that its topic will never take, if that is what went wrong.

    Its neighbours in the batch are refused with it, so one is named at a time, the largest.
    """
    if not carries(error, _REFUSED):
        return ()
    if isinstance(error, _REFUSED) and len(sent) < len(records):
        return (len(sent),)
    found: list[int] = []
    for at, future in enumerate(sent):
        if not found:  # `send` may know of an earlier failure before that one's future does
            with suppress(*_ERRORS):
                future.get(timeout=1)
        if future.exception is not None and carries(future.exception, _REFUSED):
            found.append(at)
    return sorted(found, key=lambda at: _size(records[at]))[-1:]


def _size(one: Outgoing) -> int:
    return len(one.key or b"") + len(one.value or b"")


def _offsets(
    positions: Mapping[TopicPartition, int],
) -> dict[KafkaPartition, OffsetAndMetadata]:
    return {
        KafkaPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in positions.items()
    }
