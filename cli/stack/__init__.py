"""The stack on one machine: its processes, what starts and watches them, and their status.

Used by `tandem up`, `down`, `status`, `work`, `serve` and the other commands that run a part.
"""
