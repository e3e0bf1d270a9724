"""Rendering: answers as tables, texts and pages for people. Pure: takes answers, returns what commands then print.

Commands and the demo use it; it uses no other part of `cli`.
"""
