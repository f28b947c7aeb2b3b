"""Errors a user can act on: each message names what is wrong, where, and what to do."""

import errno


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


def remedy(error: OSError) -> str:
    """What to do about a file or folder that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free space, or give another place"
    if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return "a file or folder of that name is in the way: give another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "get the right to write there, or give another place"
    return "give another place"


def first_line(error: BaseException) -> str:
    """What an error of another package says, on one line; its type where it says nothing."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return next((line for line in str(error).splitlines() if line.strip()), repr(error))
