"""Apache Kafka: a source with a lease, a transactional sink, and plain producers."""

from stream.source.kafka.produce import KafkaInlet, produce
from stream.source.kafka.sink import KafkaSink
from stream.source.kafka.source import KafkaSource
from stream.source.kafka.topics import create_topics

__all__ = ["KafkaInlet", "KafkaSink", "KafkaSource", "create_topics", "produce"]
