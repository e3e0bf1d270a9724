"""The change feed over HTTP: one hub for all subscribers, their cursors, and a subscription's way to live changes.

Used by `api.routes.changes` alone.
"""
