"""Agents: adapters in and reactions out, as Faust agents of ten lines each."""
