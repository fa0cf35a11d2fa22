"""Sources of records: Kafka, memory, files, and a seeded generator."""
