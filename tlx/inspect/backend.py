"""FiftyOne, imported late: it is an extra, it reports its use, and its import opens a database."""

from __future__ import annotations

import os
from typing import Any

from tlx.common.errors import ToolError, first_line
from tlx.common.packages import pip_install

# Read when FiftyOne is imported, here and by the server process that it starts.
QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "true",  # no reports of use, from Python or from the App's page
    "DO_NOT_TRACK": "1",
}
NOT_INSTALLED = (
    f"FiftyOne is not installed: {pip_install('viz')}. The report (python -m tlx.report) shows "
    "failure cases without it"
)
NO_DATABASE = (
    "FiftyOne has no database ({error}). Its own MongoDB is missing or does not run here: start a "
    "MongoDB-compatible server and name it, FIFTYONE_DATABASE_URI=mongodb://127.0.0.1:27017 "
    "(docs/inspect.md)"
)


def import_fiftyone() -> Any:
    """The module `fiftyone`, which reports nothing to anyone.

    Raises:
        ToolError: it is not installed, or it finds no database.
    """
    os.environ.update(QUIET)
    os.environ.setdefault("FIFTYONE_SHOW_PROGRESS_BARS", "false")
    try:
        import fiftyone
    except ImportError as error:
        if error.name == "fiftyone":
            raise ToolError(NOT_INSTALLED) from None
        raise ToolError(f"FiftyOne's installation is broken ({error})") from error
    except Exception as error:  # it connects on import and raises many kinds of errors
        raise ToolError(NO_DATABASE.format(error=_first_line(error))) from error
    fiftyone.config.do_not_track = True  # a configuration file of the user's may say otherwise
    return fiftyone


def _first_line(error: Exception) -> str:
    return first_line(error)[:200]
