"""Names of what is noted at each step and validation: columns of `metrics.csv`, keys in W&B."""

LOSSES = ("loss", "classification", "localization")
VAL = ("map", "map_50", "map_75")
AXES = ("step", "epoch", "seconds")
RATES = ("lr_base", "lr_head")
COLUMNS = (*AXES, *LOSSES, *RATES, *(f"val_{v}" for v in VAL))
