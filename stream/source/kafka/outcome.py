"""Whether a transaction was committed, asked of the group's offsets, which were part of it.

To be asked once the transactional id has a new producer: its start ends what was open.
"""

from __future__ import annotations

from collections.abc import Mapping

from kafka import TopicPartition as KafkaPartition

from stream.config import Kafka
from stream.source.kafka import client
from stream.types import TopicPartition


def committed(
    settings: Kafka, before: Mapping[TopicPartition, int], after: Mapping[TopicPartition, int]
) -> bool | None:
    """Whether the group stands where the transaction was to bring it.

    Parameters
    ----------
    before
        Where it stood, of each partition of `after`.
    after
        What the transaction was to commit; not empty.

    Returns
    -------
    bool or None
        None where it stands at neither: somebody else has moved it, or nothing was ever committed.

    Raises
    ------
    Unavailable, AccessDenied
        As for the source.
    """
    asker = client.asker(settings)
    try:
        # a consumer that reads committed is told of no offset that a transaction still holds back
        stands = {at: asker.committed(KafkaPartition(*at)) for at in after}
    finally:
        asker.close(autocommit=False)
    if stands == after:
        return True
    return False if all(stands[at] == before[at] for at in after) else None
