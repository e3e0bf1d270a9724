"""Measurements: what the engine does on this machine, on a real Apache Kafka and a real PostgreSQL."""
