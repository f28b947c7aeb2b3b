"""tlx.doctor: say what is here, what is missing, and what to install.

Usage
  python -m tlx.doctor [KEY=VALUE ...]

  json       true: one JSON object instead of text (default: false)
  cache_dir  where tlx caches (default: $TLX_CACHE or ~/.cache/tlx)
  runs_dir   where runs go (default: runs)

Prints the machine, required packages and extras, devices, weights, caches, Weights & Biases,
TensorRT and programs outside of Python. Nothing is downloaded, and the network is not asked.

Examples
  python -m tlx.doctor
  python -m tlx.doctor json=true > machine.json

Ends with "All is well." or with what to do, in order. Exit code 1: something is missing or broken
that tlx cannot do without; 0: nothing is; 2: a wrong argument.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tlx.common.cli import refuse_empty
from tlx.common.errors import ConfigError, TlxError
from tlx.common.typos import unknown_key
from tlx.doctor import answers
from tlx.doctor.asking import Question, ask
from tlx.doctor.findings import Section, Todo, as_dict, as_text, todo_of
from tlx.doctor.machine import machine
from tlx.doctor.outside import outside
from tlx.doctor.requirements import Wanted, extra_packages, required_packages, wanted


def examine(cache_dir: Path, runs_dir: Path) -> list[Section]:
    """Everything, in the order in which it is printed."""
    lines: list[Wanted] = []
    lost = Section("packages", "Required packages")
    try:
        lines = wanted()
    except Exception as error:  # a damaged pyproject.toml, or none and no installation
        lost.rows.append(("unknown", f"{type(error).__name__}: {error}"))
        lost.todo.append(Todo(f"what tlx needs is not known: {error}", required=True))
    required = [line for line in lines if not line.extra]
    topics: list[Question] = [("devices",), ("weights",), ("caches", str(cache_dir)), ("wandb",),
                              ("tensorrt",)]  # fmt: skip
    told = ask([*(("import", line.module) for line in required), *topics])
    failures = {key[1]: found.error for key, found in told.items() if key[0] == "import"}
    packages = required_packages(required, {k: v for k, v in failures.items() if v})
    return [
        machine({"cache_dir": cache_dir, "runs_dir": runs_dir}),
        packages if lines else lost,
        extra_packages([line for line in lines if line.extra]),
        answers.devices(told[topics[0]]),
        answers.weights(told[topics[1]]),
        answers.caches(told[topics[2]], cache_dir),
        answers.wandb(told[topics[3]]),
        answers.tensorrt(told[topics[4]]),
        outside(),
    ]


def read_arguments(arguments: list[str]) -> tuple[bool, Path, Path]:
    """Whether JSON is wanted, and the folders. OmegaConf may be what is missing: not used here."""
    known = {
        "json": "false",
        "cache_dir": os.environ.get("TLX_CACHE", "~/.cache/tlx"),
        "runs_dir": "runs",
    }
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument!r} is not KEY=VALUE; keys: {', '.join(known)}")
        if key not in known:
            raise ConfigError(unknown_key(key, known, value))
        known[key] = value
    refuse_empty(known)
    if known["json"].lower() not in ("true", "false"):
        raise ConfigError(f"json={known['json']} must be true or false")
    folders = (Path(known[key]).expanduser() for key in ("cache_dir", "runs_dir"))
    return known["json"].lower() == "true", *folders  # type: ignore[return-value]


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit code."""
    if arguments and arguments[0] in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0
    try:
        as_json, cache_dir, runs_dir = read_arguments(arguments)
    except TlxError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    sections = examine(cache_dir, runs_dir)
    print(json.dumps(as_dict(sections), indent=2) if as_json else as_text(sections))
    return 1 if any(todo.required for todo in todo_of(sections)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
