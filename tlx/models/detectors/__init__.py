"""Detectors: what stands on a backbone, and what it is trained by."""
