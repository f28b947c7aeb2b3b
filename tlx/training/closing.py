"""What a finished run says last: what it trained on, what came of it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlx.common.cli import command
from tlx.data.split_notes import NO_BEST, NO_FIGURE
from tlx.records.learned import always_clipped, diverged, nothing_learned
from tlx.records.record import CLASSIFICATION

FEW_STEPS = 200
"""Optimizer steps below which a detector has hardly begun to learn."""
FEW_BOXES = 30
"""Boxes of the test split below which a single one moves AP by more than .03."""
_FIGURES = {
    "map_50": "mAP@.5",
    "map": "mAP",
    "accuracy": "accuracy",
    "macro_accuracy": "mean accuracy of the classes",
}


def closing(record: Mapping[str, Any], folder: Path) -> str:
    """The block at the end of a single run; its commands run when they are pasted.

    Args:
        record: of a finished run.
        folder: the run's, as it is to be typed.
    """
    facts = {
        "trained": _trained(record),
        "best": _best(record),
        "test": _tested(record),
        "folder": str(folder),
    }
    lines = [f"{record.get('name')} is finished"]
    lines += [f"  {name:<9}{fact}" for name, fact in facts.items() if fact]
    lines += [f"  ! {warning}" for warning in warnings_of(record)]
    return "\n".join([*lines, "next:", *(f"  {line}" for line in next_commands(record, folder))])


def one_line(record: Mapping[str, Any]) -> str:
    """The same in one line, for a run among others."""
    facts = [_trained(record), _best(record) and f"best {_best(record)}"]
    facts.append(_tested(record) and f"test {_tested(record)}")
    told = "; ".join(fact for fact in facts if fact)
    return f"{record.get('name')} is finished: " + " ! ".join([told, *_failures(record)])


def next_commands(record: Mapping[str, Any], folder: Path) -> list[str]:
    """Lines to paste after this run."""
    run = str(folder)
    if record.get("task") == CLASSIFICATION:
        return [
            command("tlx.classify.export", f"checkpoint={run}", f"output={folder / 'export'}"),
            command("tlx.report", run, f"output={folder / 'report'}"),
        ]
    root = _get(record, "data_report", "root")
    pictures = root if isinstance(root, str) else "pictures"
    return [
        command("tlx.evaluate", f"checkpoint={run}"),
        command("tlx.predict", f"model={run}", f"source={pictures}", f"output={folder / 'found'}"),
        command("tlx.export", f"checkpoint={run}", "format=onnx", f"output={folder / 'export'}"),
        command("tlx.report", run, f"output={folder / 'report'}"),
    ]


def warnings_of(record: Mapping[str, Any]) -> list[str]:
    """What a reader of this run's figures must know of the run itself; of records of any age."""
    boxes = None
    if record.get("task") != CLASSIFICATION:
        boxes = _count(record, "data_report", "counts", "test", "boxes")
    return [
        *_failures(record),
        *_of_the_start(record),
        *_clipping(record),
        *shortages(_steps(record), boxes),
    ]


def _failures(record: Mapping[str, Any]) -> list[str]:
    # A run that diverged has learned nothing either, and the cause is the better advice.
    line = diverged(record) or nothing_learned(record)
    return [line] if line else []


def _of_the_start(record: Mapping[str, Any]) -> list[str]:
    found = _get(record, "weights", "warnings")
    return [line for line in found if isinstance(line, str)] if isinstance(found, list) else []


def _clipping(record: Mapping[str, Any]) -> list[str]:
    return [line] if (line := always_clipped(record)) else []


def shortages(steps: int | None, test_boxes: int | None) -> list[str]:
    """Warnings of too little training or too small a test; None: not known."""
    found = []
    if steps is not None and steps < FEW_STEPS:
        found.append(
            f"Few steps: {steps} optimizer steps in all, and training takes some {FEW_STEPS} to "
            "begin to show: raise trainer.epochs, or lower trainer.batch_size"
        )
    if test_boxes is not None and test_boxes < FEW_BOXES:
        found.append(
            f"Few test boxes: {test_boxes}, so that one of them more or less found moves the test "
            f"figures by {1 / max(1, test_boxes):.2f}: add test pictures (data.test_fraction) "
            "before comparing runs"
        )
    return found


def _trained(record: Mapping[str, Any]) -> str | None:
    images, steps = _count(record, "data_report", "counts", "train", "images"), _steps(record)
    if steps is None:
        return None
    of = f"{images} pictures, " if images is not None else ""
    seconds = _get(record, "time", "fit_s")
    took = f", {seconds:.0f} s" if isinstance(seconds, int | float) else ""
    return f"{of}{steps} steps in {_epochs(record)}{took}"


def _epochs(record: Mapping[str, Any]) -> str:
    last, patience = (_count(record, "stopped_early", key) for key in ("epoch", "patience"))
    if last is None:
        return f"{record.get('epochs')} epochs"
    by = _get(record, "config", "trainer", "select_by") or "figure"
    return (
        f"{last + 1} of {record.get('epochs')} epochs, stopped early: no better val {by} in "
        f"{patience} validations"
    )


def _best(record: Mapping[str, Any]) -> str | None:
    epoch = _count(record, "best", "epoch")
    if epoch is None and record.get("status") == "finished":
        return f"none: {NO_FIGURE}: {NO_BEST}"
    if epoch is None:
        return None
    return f"epoch {epoch + 1} of {record.get('epochs')}, on val {_figures(record.get('best'))}"


def _tested(record: Mapping[str, Any]) -> str | None:
    if not isinstance(record.get("test"), Mapping):
        return None
    images, boxes = _count(record, "test", "images"), _count(record, "test", "boxes")
    of = f" on {images} pictures" if images is not None else ""
    holding = f" with {boxes} boxes" if boxes is not None else ""
    return f"{_figures(record['test'])}{of}{holding}"


def _figures(part: Any) -> str:
    known = [f"{name} {part[key]:.3f}" for key, name in _FIGURES.items() if _is_number(part, key)]
    return ", ".join(known) or "no figure (no object to find)"


def _is_number(part: Mapping[str, Any], key: str) -> bool:
    return isinstance(part.get(key), int | float)


def _steps(record: Mapping[str, Any]) -> int | None:
    course = record.get("loss")
    try:
        return int(course[-1][1])  # type: ignore[index]
    except (TypeError, LookupError, ValueError, OverflowError):
        return None


def _count(record: Mapping[str, Any], *keys: str) -> int | None:
    value = _get(record, *keys)
    return value if isinstance(value, int) else None


def _get(record: Any, *keys: str) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record
