"""Views: what people and programs read of journeys, hand-offs, identity, playbooks and the change feed.

Read-only: `store`, `streams`, `audit`, `api` and `connectors` may use them; the fold never does.
"""
