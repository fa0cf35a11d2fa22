"""Makes the service's topics."""

from __future__ import annotations

from typing import Any

from kafka import errors as kafka_errors

from stream.config import Kafka, Topics
from stream.errors import SourceError
from stream.source.kafka import client
from stream.source.kafka.faults import translate

# A dead letter is the largest record that a topic takes by default, plus headers that say why.
_DEAD_LETTER_BYTES = 2 * 1_048_588


def create_topics(
    settings: Kafka, topics: Topics, partitions: int = 1, replication: int = -1
) -> dict[str, bool]:
    """Make the five topics; those that exist are left as they are.

    Parameters
    ----------
    partitions
        Of events, predictions and dead letters; labels and drift have one, for their order.
    replication
        Copies of each partition; -1 leaves it to the brokers.

    Returns
    -------
    dict
        For each name whether it was made now (else it existed).

    Raises
    ------
    Unavailable, AccessDenied
        As for every client.
    SourceError
        The brokers refused, such as for more copies than there are brokers.
    """
    compacted = {"cleanup.policy": "compact"}
    large = {"max.message.bytes": str(_DEAD_LETTER_BYTES)}
    wanted: dict[str, dict[str, Any]] = {
        topics.events: {"num_partitions": partitions},
        topics.labels: {"num_partitions": 1, "configs": compacted},
        topics.predictions: {"num_partitions": partitions},
        topics.drift: {"num_partitions": 1},
        topics.dead_letters: {"num_partitions": partitions, "configs": large},
    }
    for options in wanted.values():
        options["replication_factor"] = replication
    made: dict[str, bool] = {}
    admin = client.admin(settings)
    try:
        answer = admin.create_topics(wanted, raise_errors=False)
        for topic in answer["topics"]:
            kind = kafka_errors.for_code(topic["error_code"])
            if kind not in (kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError):
                raise _refusal(kind, topic, settings)
            made[topic["name"]] = kind is kafka_errors.NoError
        admin.wait_for_topics(list(made), timeout_ms=settings.poll_interval_ms)
    except (kafka_errors.KafkaError, OSError) as error:
        raise translate(error, settings, "Create") from error
    finally:
        admin.close()
    return made


def _refusal(kind: type[Any], topic: dict[str, Any], settings: Kafka) -> Exception:
    if issubclass(kind, (kafka_errors.AuthorizationError, kafka_errors.RetriableError)):
        return translate(kind(topic["name"]), settings, "Create")
    why = topic.get("error_message") or kind.__name__
    return SourceError(f"topic {topic['name']} was refused: {why}", remedy=str(why))
