"""All settings, frozen, each with its unit.

Values come, last wins, from: the defaults here, a TOML file (`--config`), the environment
(`BRAID_SECTION__NAME`, such as `BRAID_KAFKA__GROUP`), and `--set section.name=value`.
`BRAID_BOOTSTRAP_SERVERS` is short for `BRAID_KAFKA__BOOTSTRAP_SERVERS`.
"""

from stream.config.cluster import Kafka, Topics
from stream.config.encoding import Encoder
from stream.config.learning import EXPERTS, EXTREME_PARTS, PARTS, Index, Learn, Objective
from stream.config.load import Settings, load, names
from stream.config.service import Checkpoint, DeadLetters, Limits, Run, Serve
from stream.config.telling import Log, Traces

__all__ = [
    "EXPERTS", "EXTREME_PARTS", "PARTS", "Checkpoint", "DeadLetters", "Encoder", "Index", "Kafka",
    "Learn", "Limits", "Log", "Objective", "Run", "Serve", "Settings", "Topics", "Traces", "load",
    "names",
]  # fmt: skip
