"""`python -m tlx.classify`: short for `python -m tlx.train task=classify`."""

from __future__ import annotations

import sys

import tlx.classify.task
import tlx.study.program


def main() -> None:
    """Entry point."""
    sys.argv[1:] = with_task(sys.argv[1:])
    tlx.study.program.main()


def with_task(arguments: list[str]) -> list[str]:
    """The command line with `task=classify`, beside its first `KEY=VALUE`: Hydra takes these only
    where no option stands between them."""
    keys = [a.partition("=")[0] if "=" in a and a[0] != "-" else None for a in arguments]
    if "task" in keys:
        return arguments
    place = next((place for place, key in enumerate(keys) if key), len(arguments))
    return [*arguments[:place], "task=classify", *arguments[place:]]


if __name__ == "__main__":
    main()
