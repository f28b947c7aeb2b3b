"""Parts of one's own: modules that register backbones, detectors, policies, readers and the like.

A module is named by `plugins=[my.module]`, by the environment variable `TLX_PLUGINS` (commas
between), or by an installed package's entry point of the group `tlx.plugins`. Nothing that a
checkpoint, a record or a run's folder says is ever imported: those may be a stranger's.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from tlx.common.errors import ConfigError, TlxError, first_line

GROUP = "tlx.plugins"
VARIABLE = "TLX_PLUGINS"
HINT = "a part of your own is made known by plugins=[its.module]"


def load(modules: Iterable[str], where: str = "plugins") -> None:
    """Import modules, each once; the current folder is looked in as well, behind all others.

    Raises:
        ConfigError: one cannot be imported; it says which, and where it failed.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # `python -m` has it, a script has not
    for module in modules:
        try:
            import_module(module)
        except TlxError:
            raise
        except (Exception, SystemExit) as error:
            raise ConfigError(_why_not(module, where, error)) from error
        # For processes that this one starts anew: benchmarks measure in such.
        known = named(os.environ.get(VARIABLE, ""))
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*known, module]))


def named(text: str) -> list[str]:
    """The modules of `a.b,c` or `[a.b, c]`."""
    return [
        name
        for part in text.strip().strip("[]").split(",")
        if (name := part.strip(" \"'")) not in ("", "null")
    ]


def _why_not(module: str, where: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and module.startswith(str(error.name)):
        return (
            f"{where} names {module}, and there is no module {error.name}: start in the folder "
            "that holds it, put that folder on PYTHONPATH, or correct the name"
        )
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
    told = f"{type(error).__name__}: {first_line(error) if str(error) else 'it ends the program'}"
    return f"{where} names {module}, which fails at {place}: {told}"


@cache
def load_installed() -> None:
    """Import what `TLX_PLUGINS` and installed packages name; only once, and only where a part is
    asked for that is not known yet, so that nobody waits for plug-ins that are not used."""
    load(named(os.environ.get(VARIABLE, "")), VARIABLE)
    for point in entry_points(group=GROUP):
        load([point.module], f"the entry point {point.name!r} of an installed package")
