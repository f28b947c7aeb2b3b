"""tlx.lr: which learning rates suit a configuration, before anything is trained with it.

Usage
  python -m tlx.lr [KEY=VALUE ...] [steps=N] [lowest=RATE] [highest=RATE] [output=DIR]

  KEY      any key or group of tlx.train: freeze=4 data=guns trainer=sgd
  steps    optimizer steps of the test (default 100)
  lowest   rate of the first one (default 1e-5)
  highest  rate of the last one (default 10)
  output   folder of lr_find.json and lr_find.png (default: the current one)

Examples
  python -m tlx.lr freeze=8 data=guns data.root=/data/guns
  python -m tlx.lr trainer=sgd freeze=none lowest=1e-6 highest=1 output=lr/

A range test: the rate rises from step to step, of all that trains in the first phase alike, until
the loss runs away. It suggests a tenth of the rate of the least loss. No run is written or changed.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import tlx.classify.task  # noqa: F401  registers `task=classify`
from tlx.common.cli import refuse_empty
from tlx.common.errors import ConfigError, TlxError
from tlx.common.files import refuse_output, write_atomically, write_json
from tlx.config.composition import composed
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.lr.range_test import BELOW, Curve, range_test
from tlx.report.charts.chart import COLOURS, WIDTH_INCHES, save, settings

NUMBERS = "lr_find.json"
PICTURE = "lr_find.png"
DEFAULTS = {"steps": "100", "lowest": "1e-5", "highest": "10", "output": "."}


def words(curve: Curve) -> str:
    """What the test says, in the form of the keys to give."""
    rate, least = curve.suggestion, curve.rates[curve.lowest]
    if rate is None:
        return (
            f"The loss did not fall between {curve.rates[0]:.2g} and {curve.rates[-1]:.2g}: "
            "nothing to suggest. Give it more steps=, or another range (lowest=, highest=)."
        )
    keys = f"trainer.head_lr={rate:g}" + (f" trainer.base_lr={rate:g}" if curve.backbone else "")
    told = f"{keys}   (a tenth of {least:.2g}, where the loss was least)"
    if not curve.rose:
        told += "\nThe loss had not risen again at the last step: raise highest=."
    return told


def as_dict(cfg: RunConfig, curve: Curve) -> dict[str, Any]:
    """What lr_find.json holds."""
    return {
        "version": 1,
        "suggestion": curve.suggestion,
        "least_at": curve.rates[curve.lowest],
        "rose": curve.rose,
        "backbone_trains": curve.backbone,
        "rates": curve.rates,
        "losses": curve.losses,
        "smoothed": curve.smoothed,
        "config": plain(cfg),
    }


def draw(curve: Curve, path: Path) -> None:
    """The losses over the rates, and the rate that is suggested."""
    with settings():
        figure = Figure(figsize=(WIDTH_INCHES, WIDTH_INCHES / 2))
        axes = figure.subplots()
        axes.plot(curve.rates, curve.losses, ".", color=COLOURS[6], label="a step")
        axes.plot(curve.rates, curve.smoothed, color=COLOURS[0], label="smoothed")
        if curve.suggestion is not None:
            told = f"{curve.suggestion:g}: that of the least loss / {BELOW}"
            axes.axvline(curve.suggestion, color=COLOURS[1], linestyle="--", label=told)
        # Where it ran away the rest would be flat.
        least, first = curve.smoothed[curve.lowest], curve.smoothed[0]
        axes.set_ylim(0.8 * least, max(1.5 * first, 1.2 * least))
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        axes.legend()

        def write(partial: Path) -> None:
            png = partial.with_suffix(".png")
            save(figure, png)
            png.replace(partial)

        write_atomically(path, write)


def _own(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The program's own values, and what is a run's."""
    own, others = dict(DEFAULTS), []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key in own:
            own[key] = value
        else:
            others.append(argument)
    refuse_empty(own)
    return own, others


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit code."""
    if arguments and arguments[0] in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        own, others = _own(arguments)
        try:
            steps, lowest, highest = int(own["steps"]), float(own["lowest"]), float(own["highest"])
        except ValueError as error:
            raise ConfigError(f"steps, lowest and highest are numbers: {error}") from error
        folder = Path(own["output"]).expanduser()
        refuse_output(folder, folder=True)
        cfg = composed(others)
        curve = range_test(cfg, steps, lowest, highest)
        write_json(folder / NUMBERS, as_dict(cfg, curve))
        draw(curve, folder / PICTURE)
    except (TlxError, OSError) as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(words(curve))
    print(f"{folder / NUMBERS}, {folder / PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
