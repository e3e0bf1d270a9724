"""What all routes share of HTTP: problems, parameters, times, identifiers, and look-ups that share a query.

Any module of `api` may use it; it knows no route.
"""
