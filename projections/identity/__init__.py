"""Identity: who is one person, judged from recorded facts, with rulings, quarantine and erasure.

Only the fold changes a register or a workspace; other rooms read them, explain them and preview rulings.
"""
