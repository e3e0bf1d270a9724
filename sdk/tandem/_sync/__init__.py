"""The client for code without an event loop, made from tandem._async by sdk/unasync.py: do not edit."""
