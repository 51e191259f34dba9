"""A real Apache Kafka for tests and for a developer's machine."""
