"""What else a team would build for the same task, and how fast that is: Kafka Streams with a JDBC sink, and Faust."""
