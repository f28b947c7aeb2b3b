"""tlx.data: data sets, before anything trains on them.

Usage
  python -m tlx.data COMMAND [KEY=VALUE ...]

  check     read a set as training would; its splits, classes and every fault
  convert   write a set, or what a model found, in another format
  download  fetch a published set, or the classes of Open Images that are wanted
  split     write which picture is in which split, to review, commit and train by

Examples
  python -m tlx.data check data.root=/data/plates
  python -m tlx.data convert root=/data/plates to=coco output=plates-coco
  python -m tlx.data split data.root=/data/plates output=splits/

`python -m tlx.data COMMAND --help` lists the keys of a command. Exit code 0: done; 2: it could not
be, and one line says why.
"""

from __future__ import annotations

from importlib import import_module

from tlx.common.cli import run_program
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_command

# Imported when asked for: a command's libraries take seconds to load.
COMMANDS = {
    "check": "tlx.data.commands.check",
    "convert": "tlx.data.commands.convert",
    "download": "tlx.data.commands.download",
    "split": "tlx.data.commands.split",
}


def main(arguments: list[str]) -> None:
    """Entry point: the first argument names the command, which gets the rest."""
    name, *rest = arguments
    if name not in COMMANDS:
        raise ConfigError(unknown_command(name, COMMANDS))
    command = import_module(COMMANDS[name])
    if rest[:1] in ([], ["-h"], ["--help"]) and (rest or name != "check"):
        print((command.__doc__ or "").strip())
        return
    command.main(rest)


if __name__ == "__main__":
    run_program(main, __doc__)
