"""Routes: one module for each part of the API, named as its path.

Only `api.app` imports them, and no route imports another.
"""
