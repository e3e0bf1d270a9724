"""Peers: what else a team would build for the same task (Kafka Streams with a JDBC sink, Faust), and how fast it is."""
