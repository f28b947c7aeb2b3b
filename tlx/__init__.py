"""tlx: how much of a pretrained detector should be frozen, answered with evidence."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tlx.common.version import __version__ as __version__

# Compute threads that wait for the next piece of work turn in a loop for about a millisecond by
# default, and keep a loader process off a core it could use. The OpenMP library reads this once,
# when torch is loaded; a choice of the user's is left alone (see docs/speed.md).
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from tlx.api import Study, load

__all__ = ["Study", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """`tlx.Study`, `tlx.load` and `tlx.report`, imported when they are asked for: with torch."""
    if name in ("Study", "load"):
        return getattr(import_module("tlx.api"), name)
    if name == "report":  # the package, which can be called
        return import_module("tlx.report")
    raise AttributeError(f"module 'tlx' has no attribute {name!r}")
