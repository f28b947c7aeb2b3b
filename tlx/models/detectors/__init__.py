"""Detectors: what stands on a backbone, and what it is trained by. Importing registers them."""

from tlx.models.detectors.ssd import ssd  # noqa: F401
