"""Attribution: the paths before a booking, the models that credit them, the report and its corrections.

Pure functions over journeys or their rows; `store`, `audit` and `api` ask them.
"""
