"""A journey and what is stepped through it: moments, lifecycle, hand-offs, traits, memberships and its row.

The fold builds journeys; `store` keeps them as bytes and rows; nobody else writes to one.
"""
