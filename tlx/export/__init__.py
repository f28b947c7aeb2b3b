"""Export a detector for other runtimes, with what they need to use it rightly."""

from tlx.export.run import Exported, export

__all__ = ["Exported", "export"]
