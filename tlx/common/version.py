"""The version of the program, which records and checkpoints keep."""

__version__ = "0.3.0"
