"""Export a detector for other runtimes, with what they need to use it rightly."""

from tlx.export.run import Exported, Options, export, write

__all__ = ["Exported", "Options", "export", "write"]
