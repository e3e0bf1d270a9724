"""Proofs over the store: the digest of the projection."""
