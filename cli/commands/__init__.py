"""Commands: one module for each verb of `tandem`, or group of verbs, named as it is.

Only `cli.main` imports them, and none imports another; what several commands need lies beside this package.
"""
