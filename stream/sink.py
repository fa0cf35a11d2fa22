"""What goes out: predictions, drift events and dead letters as records; plain local sinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import orjson

from stream.config import Topics
from stream.errors import SettingError, SourceError
from stream.source.base import Lease, Outgoing
from stream.traces import Headers, Traces, carried
from stream.types import DeadLetter, DriftEvent, Prediction, Record, TopicPartition

_OPTION = orjson.OPT_SERIALIZE_NUMPY  # evidence may hold numpy's numbers


class Encoder:
    """Makes records for the topics of `topics`; predictions go on with their event's trace."""

    def __init__(self, topics: Topics, traces: Traces | None = None) -> None:
        self._topics = topics
        self._traces = traces

    def prediction(
        self, made: Prediction, record: Record, began_s: float = 0.0, took_s: float = 0.0
    ) -> Outgoing:
        """A prediction, keyed by event id, made when and in how many seconds."""
        body = {
            "id": made.id,
            "top": [{"label": one.label, "score": one.score} for one in made.top],
            "chosen": made.chosen,
            "position": made.position,
            "late": made.late,
            "source": {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
            },
        }
        headers: Headers = ()
        if self._traces is not None:
            headers = self._traces.predicted(made, record, began_s, began_s + took_s)
        elif record.headers:
            headers = carried(record)
        return Outgoing(self._topics.predictions, made.id.encode(), orjson.dumps(body), headers)

    def drift(self, event: DriftEvent) -> Outgoing:
        """A drift event, keyed by its scope."""
        body = {
            "kind": event.kind,
            "scope": event.scope,
            "position": event.position,
            "evidence": event.evidence,
        }
        return Outgoing(
            self._topics.drift, event.scope.encode(), orjson.dumps(body, option=_OPTION)
        )

    def dead_letter(self, letter: DeadLetter) -> Outgoing:
        """The original key and bytes, with reason and origin in the headers."""
        record = letter.record
        headers = (
            ("reason", letter.reason.encode()),
            ("detail", letter.detail[:1_000].encode("utf-8", "replace")),
            ("topic", record.topic.encode()),
            ("partition", str(record.partition).encode()),
            ("offset", str(record.offset).encode()),
        )
        return Outgoing(self._topics.dead_letters, record.key, record.value, headers)


class NullSink:
    """Publishes nowhere, for embedded streams that are only looked at."""

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""


class FileSink:
    """Appends records to a JSONL file, one object a line: topic, key, value, headers.

    Parameters
    ----------
    path
        The file; made where it is missing.

    Raises
    ------
    SettingError
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            hint = f"name a file that can be written ({error.strerror})"
            raise SettingError("--output", str(path), hint) from None

    def commit(
        self, records: Sequence[Outgoing], positions: Mapping[TopicPartition, int], lease: Lease
    ) -> None:
        """Append and flush; an interrupted write may leave a partial line."""
        lines = []
        for record in records:
            value = None if record.value is None else record.value.decode("utf-8", "replace")
            key = None if record.key is None else record.key.decode("utf-8", "replace")
            body: dict[str, object] = {"topic": record.topic, "key": key, "value": value}
            if record.headers:
                body["headers"] = {
                    name: text.decode("utf-8", "replace") for name, text in record.headers
                }
            lines.append(orjson.dumps(body))
        try:
            self._file.writelines(line + b"\n" for line in lines)
            self._file.flush()
        except OSError as error:  # some may be written: trying again would repeat those
            raise SourceError(f"cannot write {self._file.name}: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # what is left in the buffer of a full disk; told before
            self._file.close()
