"""A school in the calling thread: the same events give the same encoder."""

from __future__ import annotations

from typing import Any

from stream.learn.encoder.contest import Contest
from stream.learn.encoder.encoders import Encoder
from stream.learn.encoder.lessons import Inputs, Lessons
from stream.learn.encoder.verdicts import Promoted, Refused
from stream.training.school import Gathered, parted


class InlineSchool:
    """See `School`, but that its calls take as long as training does.

    Parameters
    ----------
    contest
        What is trained.
    """

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._gathered = Gathered()
        self._news: list[Promoted | Refused] = []
        self._learnt = 0

    def learn(self, lessons: Lessons) -> None:
        """See `School`."""
        for batch in self._gathered.add(lessons):
            found = self._contest.learn(batch)
            self._learnt += len(batch)
            if found is not None:
                self._news.append(found)

    def recall(self, lessons: Lessons) -> None:
        """See `School`."""
        for batch in parted(lessons):
            self._contest.recall(batch)

    def describe(self, label: int, row: Inputs) -> None:
        """See `School`."""
        self._contest.describe(label, row)

    def retire(self, label: int) -> None:
        """See `School`."""
        self._gathered.retire(label)
        self._contest.retire(label)

    def alarm(self) -> None:
        """See `School`."""
        self._contest.alarm()

    def crown(self, encoder: Encoder, labels: Any, means: Any, weights: Any) -> None:
        """See `School`."""
        self._contest.crown(encoder, labels, means, weights)

    def keep(self, position: int) -> None:
        """Nothing is kept: what there is comes of the events alone."""

    def resume(self, position: int) -> None:
        """See `keep`."""

    def news(self) -> list[Promoted | Refused]:
        """See `School`."""
        told, self._news = self._news, []
        return told

    def told(self) -> dict[str, float]:
        """See `School`."""
        return {"braid_training_events_total": self._learnt}

    def close(self) -> None:
        """See `School`."""
