"""The change feed on its way out: time's own changes are added, and each change is published to Kafka once.

Started by `streams.app` and `cli`; nobody else may write to the feed's topics.
"""
