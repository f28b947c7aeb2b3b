"""Formats that a data set can be written in: one module each, all taking the same pictures."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from tlx.data.writers.base import WRITERS, Labelled, Writer

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["WRITERS", "Labelled", "Writer"]
