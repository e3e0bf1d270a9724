"""Commands: one module for each verb of `tandem`, named as the verb.

Only `cli.main` imports them; what several commands need lives beside this package.
"""
