"""What a journey is: identity, lifecycle, touchpoints, score and value. Pure functions; no I/O, no clock."""
