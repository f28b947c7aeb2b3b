"""SSD: priors, box coding, matching, loss, heads and the detector itself, which is registered."""

from tlx.models.detectors.ssd import ssd  # noqa: F401
