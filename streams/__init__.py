"""Everything that touches Kafka: topics, the projector, the Faust app, the HTTP gateway for ingest."""
