"""Audit: proofs over the store (digest, rebuild, verify, chain and checkpoints), the past, what-if, erasure and export.

The API and the commands use it; the engine never does.
"""
