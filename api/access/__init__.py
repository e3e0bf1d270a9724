"""Access: who asks, what they may do, through which window they see, and the record that they read.

Routes ask it; it knows no route but by the names in its policy.
"""
