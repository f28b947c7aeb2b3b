"""SSD as TensorFlow's Object Detection API builds it, which is registered."""

from tlx.models.detectors.ssd_tf import ssd_tf  # noqa: F401
