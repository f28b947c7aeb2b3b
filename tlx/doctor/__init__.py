"""What tlx finds on this machine, and what it misses.

`tlx.doctor` is for machines where something is wrong: what is imported at its top is Python's own.
Whatever needs a package is asked of another process (`ask`), which may fail or die.
"""
