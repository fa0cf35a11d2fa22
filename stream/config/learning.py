"""The learner and the index of prototypes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from stream.config.section import Section

Objective = Literal["micro_f1", "macro_f1", "hamming", "subset"]
# what `learn.without` can leave out; experts of small spaces by their place in the mixture
EXPERTS = (
    "logistic_values", "logistic_idf", "logistic_bins", "logistic_history", "vote_10", "vote_50",
    "vote_bins", "recent_sets", "prior", "markov", "squares", "squares_smooth",
    "squares_history", "squares_values", "tree",
)  # fmt: skip
# parts of the learner of extreme spaces
EXTREME_PARTS = (
    "titles", "names", "name_parts", "linear", "centroids", "recency", "partition_bias",
    "index", "descriptions",
)  # fmt: skip
PARTS = (*EXPERTS, "sets", "partition_weights", "reaction", "discovery", *EXTREME_PARTS)


class Learn(Section):
    """The learner. One configuration serves all streams."""

    objective: Objective = "micro_f1"
    """What the chosen label set is tuned for."""
    top_k: int = Field(10, ge=1, le=100)
    """Labels published with each prediction."""
    seed: int = 7
    """Seed of every random choice."""
    small_labels: int = Field(512, ge=2, le=512)
    """Up to so many labels every label is a candidate; above, a shortlist."""
    exemplar_bytes: int = Field(150_000_000, ge=1, le=1 << 36)
    """Bytes of the labelled events kept as exemplars in an extreme space, and of what finds them.

    As many are kept as the largest power of two that fits; the oldest give way to new ones.
    """
    hash_bits: int = Field(22, ge=10, le=26)
    """log2 of the feature slots in an extreme space, 16 bytes each."""
    linear_bytes: int = Field(1 << 26, ge=1, le=1 << 32)
    """Bytes of the hashed weights and centroids in an extreme space; a power of two is used."""
    cooccurrence_bytes: int = Field(1_200_000_000, ge=1, le=1 << 40)
    """Bytes of what is remembered of the company of labels, at about 260 each.

    As many labels have company as the largest power of two that fits; the least frequent give way.
    """
    waiting: int = Field(10_000, ge=0)
    """Unlabelled events kept for late labels, and late labels kept for their event."""
    waiting_bytes: int = Field(64_000_000, ge=0)
    """Bytes of events kept for late labels, and as many of label sets."""
    most_labels: int = Field(2_000_000, ge=2, le=1 << 27)
    """Labels known at most; what an event has beyond them is left out, counted and told by
    /readyz."""
    source_share: float = Field(0.9, gt=0, le=1)
    """Share of all events taught that one source (a token, or an event's `source`) may go on to
    teach of one label; 1 caps nothing. Events without a source are not capped."""
    source_burst: int = Field(10_000, ge=1)
    """Events of one label that one source may teach beyond that share."""
    without: str = ""
    """Parts left out, comma separated, for ablations; an unknown one names them all."""
    suspicious_share: float = Field(0.001, ge=0, le=0.1)
    """Share of events of which a suspicious label is told at most; 0 tells none."""
    possible_share: float = Field(0.0005, ge=0, le=0.1)
    """Share of events of which a possible new label is told at most; 0 looks for none."""
    possible_size: int = Field(25, ge=4, le=10_000)
    """Distinct events that no known label explains, alike, from which they may be a label."""
    possible_memory: int = Field(10_000, ge=100, le=1_000_000)
    """Events in which the weight of such an event fades by half."""
    drift_delta: float = Field(0.002, gt=0, lt=1)
    """ADWIN's confidence; smaller alarms later and less."""

    @field_validator("without")
    @classmethod
    def _known(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            if part not in PARTS:
                raise ValueError(f"{part!r} is no part; leave out any of {', '.join(PARTS)}")
        return value

    @property
    def off(self) -> frozenset[str]:
        """The parts left out."""
        return frozenset(filter(None, self.without.split(",")))

    @property
    def discovers(self) -> bool:
        """Whether possible labels are looked for."""
        return self.possible_share > 0 and "discovery" not in self.off


class Index(Section):
    """The index of label prototypes."""

    kind: Literal["auto", "flat", "faiss_cpu", "faiss_gpu"] = "auto"
    """Which index; `auto` picks by size and device."""
    dimension: int = Field(256, ge=8, le=4096)
    """Width of the embedding, in floats."""
    prototype_bytes: int = Field(1 << 33, ge=1, le=1 << 40)
    """Bytes of the prototypes; labels beyond that replace the least useful, also in the index."""
    neighbours: int = Field(10, ge=0, le=100)
    """Nearest prototypes added to each shortlist."""
    learnt_neighbours: int = Field(60, ge=0, le=100)
    """The same where the embedding is learnt, and the nearest are worth more."""
    worth: float = Field(0.005, ge=0, le=1)
    """Share of true labels that only the index finds from which it is asked for every event; below
    it, for one event in 16, and below a quarter of it for one in 1,024. 0 always asks."""
    learnt_worth: float = Field(0.02, ge=0, le=1)
    """The same where the embedding is learnt, and more neighbours cost more."""
    learnt_effort: float = Field(0.25, gt=0, le=1)
    """Where the embedding is learnt: the share of the lists that are looked into, of those that
    hold 97.5 % of the ten nearest; below 1 rows are passed over more boldly, too. True labels are
    in the first lists."""
    flat_limit: int = Field(8_192, ge=64)
    """Labels up to which `auto` searches exactly."""
    sync_events: int = Field(256, ge=1)
    """Learnt events between updates of the index from the prototypes."""
    background: bool = True
    """Whether a large index is built beside the learner. Off, it is built by the learner, which
    stalls, and events are learnt one by one: the same labelled events then leave the same state to
    the bit, however the stream was cut into batches and interrupted."""
