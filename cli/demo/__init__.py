"""The demo: two simulated departments, the acts that they play, and what is shown of them.

Only `tandem demo` uses it.
"""
