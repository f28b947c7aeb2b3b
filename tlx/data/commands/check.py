"""tlx.data check: check a data set before anything trains on it.

Usage
  python -m tlx.data check data=voc data.root=/path/to/set [data.KEY=VALUE ...] [output=DIR]

  data       sample, guns, ppe, voc, coco, yolo, auto: as for tlx.train, with the same keys
             (data.classes, data.splits, data.group_near_duplicates, …)
  output     folder of check.json (default: the current one)
  cache_dir  decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.data check data=voc data.root=/data/plates
  python -m tlx.data check data=auto data.root=/data/ppe output=checked/

Prints the splits with their pictures and boxes, the classes, and every kind of fault with its
files; check.json has all of it. Exit code 0: the set can be trained on; 2: it cannot, and one line
says why.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rich.table import Table

from tlx.common.cli import refuse_empty
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError, TlxError
from tlx.common.files import refuse_output, write_json
from tlx.config.composition import composed
from tlx.config.schema import Config
from tlx.data.faults import RULES, FaultReport
from tlx.data.module import DetectionData, build_data

SHOWN = 3  # files of a kind that are printed; check.json has all
REPORT = "check.json"


def check_set(overrides: list[str]) -> DetectionData:
    """The data as training would get them; raises `TlxError` where it would get none."""
    cfg = composed(*_and_folder(overrides))
    if not isinstance(cfg, Config):
        raise ConfigError("the data of detections are checked here: leave task= out")
    if cfg.data.format != "sample" and cfg.data.root is None and cfg.data.source is None:
        raise ConfigError(f"data={cfg.data.name} needs data.root=/path/to/the/set")
    return build_data(cfg.data, Path(cfg.cache_dir).expanduser(), cfg.detector.input_size)


def _and_folder(arguments: list[str]) -> tuple[list[str], str | None]:
    """The overrides, and the folder of `--config-dir FOLDER`, which Hydra's programs take too."""
    if (flag := "--config-dir") not in arguments:
        return arguments, None
    place = arguments.index(flag)
    if place + 1 == len(arguments):
        raise ConfigError(f"{flag} needs a folder of YAML files")
    return arguments[:place] + arguments[place + 2 :], arguments[place + 1]


def as_dict(data: DetectionData) -> dict[str, Any]:
    """What check.json holds."""
    return {
        "usable": True,
        "root": data.report["root"],
        "format": data.report["format"],
        "classes": data.classes,
        "splits": data.report["counts"],
        "faults": data.faults.to_rows(),
        "counts": data.faults.counts(),
        "warnings": data.report["warnings"],
    }


def tell(data: DetectionData) -> None:
    """Print the splits, classes, faults and warnings."""
    table = Table("split", "pictures", "boxes", "negatives", title=data.report["root"])
    for split, counts in data.report["counts"].items():
        table.add_row(split, *(str(counts[key]) for key in ("images", "boxes", "negatives")))
    console = stdout_console()
    console.print(table)
    print(f"format: {data.report['format']}")
    print(f"classes: {', '.join(data.classes)}")
    _tell_faults(data.faults)
    for warning in data.report["warnings"]:
        print(f"warning: {warning}")


def _tell_faults(faults: FaultReport) -> None:
    for kind, count in faults.counts().items():
        word = "note" if RULES[kind].note else "fault"
        print(f"{word}: {count} {kind}: {RULES[kind].action} ({RULES[kind].why})")
        members = [fault for fault in faults.faults if fault.kind == kind]
        for fault in members[:SHOWN]:
            detail = f": {fault.detail}" if fault.detail else ""
            print(f"  {fault.image} [{fault.where}]{detail}")
        if count > SHOWN:
            print(f"  … and {count - SHOWN} more in {REPORT}")
    if not faults.serious:
        print("no faults")


def main(arguments: list[str]) -> None:
    """Entry point; raises `TlxError` where the set cannot be trained on."""
    given = [a for a in arguments if not a.startswith("output=")]
    output = next((a.partition("=")[2] for a in arguments[::-1] if a.startswith("output=")), ".")
    logger = logging.getLogger("tlx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # what it warns of is printed here
    try:
        refuse_empty({"output": output})
        report = Path(output).expanduser() / REPORT
        refuse_output(report.parent, folder=True)
        try:
            data = check_set(given)
        except TlxError as error:
            write_json(report, {"usable": False, "error": str(error)})
            error.args = (" ".join(str(error).split()),)  # one line of a terminal
            raise
        write_json(report, as_dict(data))
        tell(data)
    finally:
        logger.setLevel(level)
