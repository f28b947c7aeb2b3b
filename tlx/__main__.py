"""tlx: one front door. `tlx NAME ...` runs what `python -m tlx.NAME ...` runs.

Nothing of a program is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys

from tlx.common.cli import FAILED
from tlx.common.programs import PROGRAMS, module_of
from tlx.common.typos import unknown_command
from tlx.common.version import __version__


def help_text() -> str:
    """What `tlx --help` prints."""
    wide = max(map(len, PROGRAMS))
    rows = [f"  {name:{wide}}  {program.about}" for name, program in PROGRAMS.items()]
    return "\n".join(
        [
            "tlx: how much of a pretrained detector should be frozen, answered with evidence.",
            "",
            "Usage",
            "  tlx PROGRAM [KEY=VALUE ...]    the same as python -m tlx.PROGRAM",
            "  tlx PROGRAM --help             its keys, with examples",
            "  tlx --version",
            "",
            "Programs",
            *rows,
            "",
            "Examples",
            "  tlx train -m freeze=none,4,8,all",
            "  tlx report runs/sample-efficientnet_lite0",
            "  tlx predict model=RUN_FOLDER source=pictures/",
        ]
    )


def main() -> None:
    """Run the program that the first argument names, with the others."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        try:
            print(help_text(), flush=True)
        except BrokenPipeError:  # `… | head`
            os._exit(1)
        sys.exit(0 if arguments else FAILED)
    if arguments[0] == "--version":
        print(f"tlx {__version__}")
        return
    if arguments[0] not in PROGRAMS:
        print(f"tlx: {unknown_command(arguments[0], PROGRAMS)}", file=sys.stderr)
        sys.exit(FAILED)
    module, sys.argv[1:] = module_of(arguments)
    # As `python -m` does it: processes that it starts find the program under its name.
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def script() -> None:
    """Entry point of the installed command.

    Python puts the folder of a script first into its path, and with `-m` the current one. Here the
    current one is last: modules of one's own are found from where one stands, and what is installed
    is never hidden by a folder of the same name.
    """
    if not getattr(sys.flags, "safe_path", False):  # from Python 3.11 on
        del sys.path[0]
        with contextlib.suppress(FileNotFoundError):
            sys.path.append(os.getcwd())
    main()


if __name__ == "__main__":
    main()
