"""Errors a user can act on: each message names what is wrong, where, and what to do."""


class TlxError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class ConfigError(TlxError):
    """A configuration that cannot mean anything sensible."""


class DataError(TlxError):
    """A data set, annotation or image that cannot be used as it is."""


class WeightsError(TlxError):
    """Pretrained weights or a checkpoint that are missing, damaged or of another network."""


class FreezeError(TlxError):
    """A freeze that names unknown blocks, freezes nothing it may, or leaves nothing to train."""


class BusyError(TlxError):
    """A run's folder that another process is working in."""


class DivergenceError(TlxError):
    """Training whose loss is no number any more."""


class StorageError(TlxError):
    """A file or folder that cannot be written or read: a full disk, missing rights."""


class ToolError(TlxError):
    """An optional program or package that is missing or does not run."""


class ExportError(TlxError):
    """A network that cannot be exported as asked, or an artefact that is not the checkpoint's."""


def first_line(error: BaseException) -> str:
    """What an error of another package says, on one line; its type where it says nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), repr(error))
