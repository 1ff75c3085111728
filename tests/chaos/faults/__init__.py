"""The faults: a function each, in the file of what is hurt.

Each takes an arena, hurts a run in it that is done in the end, and counts how many times it did.
"""
