"""Does the answer change with the data set, fold, backbone, start or number of pictures?

A study of several of these is many small comparisons, each of an arm with the reference of its own
setting. Here they are put together: what each level of a factor shows, whether levels differ, what
holds over data sets, and what more pictures would bring. Sources: `docs/statistics.md`.
"""

from __future__ import annotations

from tlx.report.factors.analysis import Analysis, analyse

__all__ = ["Analysis", "analyse"]
