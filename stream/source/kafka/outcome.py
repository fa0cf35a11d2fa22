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
        None where it stands at neither, since somebody else has moved it.

    Raises
    ------
    Unavailable, AccessDenied
        As for the source.
    """
    admin = client.admin(settings)
    try:
        partitions = [KafkaPartition(*at) for at in after]
        told = admin.list_group_offsets({settings.group: partitions})[settings.group]
    finally:
        admin.close()
    stands = {TopicPartition(*at): found.offset for at, found in told.items()}
    if all(stands.get(at) == offset for at, offset in after.items()):
        return True
    # -1 is nobody's: then it stands at the beginning, as the lease has it
    if all(stands.get(at, -1) in {before[at], -1} for at in after):
        return False
    return None
