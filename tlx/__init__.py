"""tlx: how much of a pretrained detector should be frozen, answered with evidence."""

__version__ = "0.1.0"
