"""Agents: adapters in and reactions out, as Faust agents that anybody can add in ten lines."""
