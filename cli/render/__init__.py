"""Rendering: answers as tables, texts and pages for people.

Pure: takes answers and returns text; commands print it.
"""
