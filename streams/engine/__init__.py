"""The engine: Kafka records into one transaction of effects. Offsets live in PostgreSQL, beside them.

`streams.app`, `audit` (replay uses the same steps) and `cli` start it; agents and the API do not reach into it.
"""
