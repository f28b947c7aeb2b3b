"""tlx.data check: check a data set before anything trains on it.

Usage
  python -m tlx.data check data=voc data.root=/path/to/set [data.KEY=VALUE ...] [output=DIR]

  data       sample, guns, ppe, voc, coco, yolo, auto: as for tlx.train, with the same keys
             (data.classes, data.splits, data.group_near_duplicates, …)
  detector   whose priors the boxes are held against, with detector.input_size and backbone
  output     folder of check.json and check.html (default: the current one)
  cache_dir  where the sample lies (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.data check data=voc data.root=/data/plates
  python -m tlx.data check data=auto data.root=/data/ppe output=checked/

Prints splits, classes, every kind of fault with its rule and files, what the detector's priors
reach, near duplicates, and how well the test split can measure. check.json has all of it, and
check.html shows it with pictures; nothing is stored for training. Exit code 0: the set can be
trained on; 2: it cannot, and one line says why, in both files too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rich.table import Table

from tlx.common.cli import refuse_empty
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError, TlxError
from tlx.common.files import refuse_output, write_json, write_text
from tlx.config.composition import composed
from tlx.config.schema import Config
from tlx.data.faults import RULES, FaultReport
from tlx.data.found import Found
from tlx.data.module import DetectionData, build_data
from tlx.data.page import Checked, page_text
from tlx.data.page.near import as_rows, near_groups
from tlx.data.page.priors import as_plain, prior_fit
from tlx.data.page.tables import rule_of, written_counts
from tlx.data.page.test_error import largest_error
from tlx.data.page.words import error_notes, near_note, noise_note, prior_notes

SHOWN = 3  # files of a kind that are printed; check.json has all
SMALL_OBJECTS = "detector=ssd_fpnlite_640"  # what is held against a detector that fits no class
REPORT, PAGE = "check.json", "check.html"


def check_set(overrides: list[str], found: Found) -> tuple[Config, DetectionData]:
    """The data as training would get them; raises `TlxError` where it would get none."""
    cfg = composed(*_and_folder(overrides))
    if not isinstance(cfg, Config):
        raise ConfigError("the data of detections are checked here: leave task= out")
    if cfg.data.format != "sample" and cfg.data.root is None and cfg.data.source is None:
        raise ConfigError(f"data={cfg.data.name} needs data.root=/path/to/the/set")
    found.strict, found.max_side = cfg.data.strict, cfg.data.max_side
    found.root = Path(cfg.data.root).expanduser() if cfg.data.root else None
    cache_dir = Path(cfg.cache_dir).expanduser()
    return cfg, build_data(cfg.data, cache_dir, cfg.detector.input_size, found=found, seed=cfg.seed)


def and_output(arguments: list[str]) -> tuple[list[str], str]:
    """The overrides, and where `output=` says that files go; the current folder by default."""
    given = [a for a in arguments if not a.startswith("output=")]
    output = next((a.partition("=")[2] for a in arguments[::-1] if a.startswith("output=")), ".")
    refuse_empty({"output": output})
    return given, output


@contextmanager
def warnings_printed_here() -> Iterator[None]:
    """What the data's log warns of is part of what a command prints, and not said twice."""
    logger = logging.getLogger("tlx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _and_folder(arguments: list[str]) -> tuple[list[str], str | None]:
    """The overrides, and the folder of `--config-dir FOLDER`, which Hydra's programs take too."""
    if (flag := "--config-dir") not in arguments:
        return arguments, None
    place = arguments.index(flag)
    if place + 1 == len(arguments):
        raise ConfigError(f"{flag} needs a folder of YAML files")
    return arguments[:place] + arguments[place + 2 :], arguments[place + 1]


def as_dict(found: Found, checked: Checked) -> dict[str, Any]:
    """What check.json holds of a usable set."""
    data = checked.data
    return {
        "usable": True,
        "root": data.report["root"],
        "format": data.report["format"],
        "classes": data.classes,
        "splits": data.report["counts"],
        **_faults_of(found),
        "warnings": data.report["warnings"],
        "priors": as_plain(checked.fit) if checked.fit else None,
        "priors_for_small_objects": as_plain(checked.other_fit) if checked.other_fit else None,
        "near_duplicates": as_rows(checked.groups),
        "label_noise": data.report["label_noise"],
        "test_error": asdict(checked.error) if checked.error else None,
    }


def _faults_of(found: Found) -> dict[str, Any]:
    counts = found.faults.counts()
    return {
        "faults": found.faults.to_rows(),
        "counts": counts,
        "rules": {
            kind: {"rule": rule_of(kind, found.strict), **RULES[kind]._asdict(), "count": count}
            for kind, count in counts.items()
        },
    }


def refused(found: Found, error: str) -> dict[str, Any]:
    """What check.json holds of a set that cannot be trained on: what was found before."""
    return {
        "usable": False,
        "error": error,
        "root": None if found.root is None else str(found.root),
        "annotations": written_counts(found),
        **_faults_of(found),
    }


def tell(found: Found, checked: Checked) -> None:
    """Print the splits, classes, faults, figures and warnings."""
    data = checked.data
    table = Table("split", "pictures", "boxes", "negatives", title=data.report["root"])
    for split, counts in data.report["counts"].items():
        table.add_row(split, *(str(counts[key]) for key in ("images", "boxes", "negatives")))
    console = stdout_console()
    console.print(table)
    print(f"format: {data.report['format']}")
    print(f"classes: {', '.join(data.classes)}")
    _tell_faults(found.faults, found.strict)
    for line in prior_notes(checked.fit, checked.other_fit):
        print(f"priors: {line}")
    print(f"near duplicates: {near_note(checked.groups)}")
    if noise := noise_note(data.report["label_noise"]):
        print(f"label noise: {noise}")
    print(f"test split: {error_notes(checked.error)[0]}")
    for warning in data.report["warnings"]:
        print(f"warning: {warning}")


def _tell_faults(faults: FaultReport, strict: bool) -> None:
    for kind, count in faults.counts().items():
        word = "note" if RULES[kind].note else "fault"
        rule = f"{rule_of(kind, strict)}, {RULES[kind].action}"
        print(f"{word}: {count} {kind}: {rule} ({RULES[kind].why})")
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
    given, output = and_output(arguments)
    found = Found()
    with warnings_printed_here():
        folder = Path(output).expanduser()
        refuse_output(folder, folder=True)
        try:
            cfg, data = check_set(given, found)
            checked = examine(cfg, data, found, given)
        except TlxError as error:
            told = " ".join(str(error).split())  # one line of a terminal
            write_json(folder / REPORT, refused(found, str(error)))
            write_text(folder / PAGE, page_text(found, None, error=told, arguments=arguments))
            error.args = (told,)
            raise
        write_json(folder / REPORT, as_dict(found, checked))
        write_text(folder / PAGE, page_text(found, checked, error=None, arguments=arguments))
        tell(found, checked)
        print(f"page: {folder / PAGE}")


def examine(cfg: Config, data: DetectionData, found: Found, overrides: list[str]) -> Checked:
    """The figures of a usable set."""
    items = [item for members in data.splits.values() for item in members]
    fit = prior_fit(cfg, items, data.classes, framing=data.framing)
    other = None
    if fit is not None and fit.never:
        rest = [a for a in overrides if not re.match(r"[+~]*detector\b", a)]
        cfg = cast(Config, composed(*_and_folder([*rest, SMALL_OBJECTS])))
        other = prior_fit(cfg, items, data.classes, SMALL_OBJECTS, framing=data.framing, only=True)
    return Checked(
        data=data,
        groups=near_groups(found.items, found.groups, data.splits),
        fit=fit,
        error=largest_error(data.splits["test"], found.groups),
        other_fit=other,
    )
