"""Weights & Biases beside the record: a service that a run uses but does not depend on."""
