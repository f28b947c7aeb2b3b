"""`python -m tlx.train`: one run, a sweep (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

import tlx.classify.task  # noqa: F401  registers `task=classify`
from tlx.study.program import main

if __name__ == "__main__":
    main()
