"""The client for asyncio, from which sdk/unasync.py makes the one for plain code (tandem._sync)."""
