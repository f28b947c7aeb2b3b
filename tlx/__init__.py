"""tlx: how much of a pretrained detector should be frozen, answered with evidence."""

import os
import sys

from tlx.common.version import __version__ as __version__

# Compute threads that wait for the next piece of work turn in a loop for about a millisecond by
# default, and keep a loader process off a core it could use. The OpenMP library reads this once,
# when torch is loaded; a choice of the user's is left alone (see docs/speed.md).
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
