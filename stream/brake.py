"""The dead-letter brake: a partition that brings mostly dead letters is held, not drained.

A poisoned stream, such as one whose producer changed its format, would otherwise end up in the
dead letters as a whole before anyone looks. What was dead-lettered so far is published; the
partition then waits, from the next micro-batch on, for a restart or a new lease. Everything else
goes on, here and on other members, which have nothing to publish of it and learn what is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from stream.config import DeadLetters
from stream.types import DeadLetter, Record, TopicPartition


@dataclass
class _Count:
    """Of one partition: dead letters in a row, and in the last half to whole window."""

    row: int = 0
    seen: list[int] = field(default_factory=lambda: [0, 0])
    bad: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, records: int, dead: int, half: int) -> None:
        """Take note of good records, or of one that is dead."""
        self.row = self.row + dead if dead else 0
        if self.seen[0] >= half:
            self.seen, self.bad = [0, self.seen[0]], [0, self.bad[0]]
        self.seen[0] += records
        self.bad[0] += dead


class Brake:
    """Counts the dead letters of each partition.

    Parameters
    ----------
    settings
        Its limits.

    Attributes
    ----------
    held : dict
        Why each held partition is held, and the offset of the first record that waits.
    """

    def __init__(self, settings: DeadLetters) -> None:
        self._settings = settings
        self._counts: dict[TopicPartition, _Count] = {}
        self.held: dict[TopicPartition, tuple[int, str]] = {}

    def count(
        self, records: Sequence[Record], letters: Collection[DeadLetter]
    ) -> list[TopicPartition]:
        """Take note of a micro-batch; partitions to be held from here on, mostly none."""
        half = self._settings.window // 2
        if not letters:
            for at, good in Counter(record.at for record in records).items():
                self._of(at).add(good, 0, half)
            return []
        dead = {id(one.record): one.reason for one in letters}
        found: dict[TopicPartition, str] = {}
        ends: dict[TopicPartition, int] = {}
        for record in records:
            at, reason = record.at, dead.get(id(record))
            ends[at] = record.offset + 1
            self._of(at).add(1, int(reason is not None), half)
            why = self._over(self._of(at)) if reason is not None else ""
            if why and at not in found:
                found[at] = f"{why}, {reason} the latest"
        self.held |= {at: (ends[at], why) for at, why in found.items()}
        return list(found)

    def release(self) -> dict[TopicPartition, int]:
        """Hold nothing and count anew; where reading has to go on."""
        back = {at: offset for at, (offset, _) in self.held.items()}
        self.held.clear()
        self._counts.clear()
        return back

    def problems(self) -> list[str]:
        """A sentence for each held partition."""
        return [
            f"{at.topic}/{at.partition} is held at offset {offset}: {why}; mend what produces it, "
            "then start again, or raise dead_letters.consecutive and dead_letters.share"
            for at, (offset, why) in self.held.items()
        ]

    def _of(self, at: TopicPartition) -> _Count:
        return self._counts.setdefault(at, _Count())

    def _over(self, count: _Count) -> str:
        """Why a partition is to be held, if it is."""
        limits, seen, bad = self._settings, sum(count.seen), sum(count.bad)
        if limits.consecutive and count.row >= limits.consecutive:
            return f"{count.row:,} dead letters in a row"
        if seen >= limits.window // 2 and bad > limits.share * seen:
            return f"{bad:,} of the last {seen:,} records are dead letters"
        return ""
