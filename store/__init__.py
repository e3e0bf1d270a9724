"""PostgreSQL: migrations, the archive of events, journeys, offsets and fences, the change feed. All SQL is here."""
