"""Everything that touches Kafka: topics, the engine that projects, the published feed, agents, the ingest gateway."""
