"""The command `tandem`: commands, what they share (options, client, database, terminal), the stack and the demo.

It may use every other room, and no other room uses it.
"""
