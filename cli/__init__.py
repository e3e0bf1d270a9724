"""The command `tandem`: one module per group of verbs; wires the parts together."""
