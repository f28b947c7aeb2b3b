"""Run a model wherever it was exported to: one interface over all backends."""

from tlx.runtime.base import Runtime
from tlx.runtime.meta import ModelMeta
from tlx.runtime.opening import open_model
from tlx.runtime.postprocess import Found

__all__ = ["Found", "ModelMeta", "Runtime", "open_model"]
