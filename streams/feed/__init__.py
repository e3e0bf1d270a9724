"""The change feed on its way out: what time alone changes is told, and each change goes to Kafka once.

Started by `streams.app` and `cli`; nobody else may write to the feed's topics.
"""
