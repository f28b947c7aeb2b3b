"""Where runs are mirrored to, as `logger.name` says. The record is the truth; these show it."""
