"""tlx.benchmark: how fast tlx is, beside the usual ways to do the same.

Usage
  python -m tlx.benchmark COMMAND [KEY=VALUE ...]

  train    seconds and memory of a training step by freeze policy, tlx against peers; images/s of
           the training loader
  latency  one picture from its file to its detections, backend by backend, beside eager PyTorch;
           the command where none is named: python -m tlx.benchmark model=RUN,FILE backend=openvino

Examples
  python -m tlx.benchmark train
  python -m tlx.benchmark latency model=RUN_FOLDER,export/onnx/ssd-mobilenet_v1.onnx

`python -m tlx.benchmark COMMAND --help` lists the keys of a command.
"""

from __future__ import annotations

from importlib import import_module

from tlx.common.cli import run_program
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_command

# Imported when asked for: a command's peers take seconds to load.
COMMANDS = {"train": "tlx.benchmark.train", "latency": "tlx.benchmark.latency.program"}


def main(arguments: list[str]) -> None:
    """Entry point: the first argument names the command, which gets the rest."""
    name, *rest = arguments
    if "=" in name:
        name, rest = "latency", arguments
    if name not in COMMANDS:
        raise ConfigError(unknown_command(name, COMMANDS))
    command = import_module(COMMANDS[name])
    if rest and rest[0] in ("-h", "--help"):
        print((command.__doc__ or "").strip())
        return
    command.main(rest)


if __name__ == "__main__":
    run_program(main, __doc__)
