"""The stack on one machine: Apache Kafka from Maven's jars, PostgreSQL from a wheel."""
