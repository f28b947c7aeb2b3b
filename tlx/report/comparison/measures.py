"""The figures that arms are compared by: where each is in a record, and how it may be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tlx.records.predictions.influence import COCO_IOUS
from tlx.records.quality import CLASSIFICATION, DETECTION, Figure, Quality
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.by_picture import Part
from tlx.report.comparison.figures import seconds, significant, three
from tlx.report.comparison.levels import Level, Levels, Reached, reach_loss, reach_main
from tlx.report.comparison.records import Record

# What has to be the same in two runs (names of `likeness` checks). Software is warned of alone.
_SAME_TEST = ("data", "classes", "test set")
_SAME_TRAINING = ("epochs", "pretrained weights", "training set")
_SAME_STEP = ("machine", "backbone", "input size", "batch size")
_SAME_FIT = (*_SAME_STEP, "data", "epochs")
# What each test picture adds to the main and to the second figure.
_PARTS: dict[str, tuple[Part, Part]] = {
    DETECTION.task: ((0.5,), COCO_IOUS),
    CLASSIFICATION.task: ("accuracy", "macro_f1"),
}
_CLOCK = 1e-3
_MEBIBYTE = 2.0**20


@dataclass(frozen=True)
class Measure:
    """One figure of a run.

    Attributes:
        key: Name in `report.json`.
        title: Name in sentences.
        value: The figure of a run, None where it has none.
        show: Spelling of a figure or of a difference's size, with its unit.
        same: What must be equal for two runs to be compared by it.
        same_training: What must be equal besides for a difference to be credited to the freeze.
        higher_is_better: Whether more is better.
        speed: Whether it is a speed of the machine: compared by ratio, with its drift taken out.
        grain: What it cannot resolve, in its unit (as a share where `speed`).
        part: For a figure of the test set, what each test picture adds to it; it comes from the
            predictions.
        blocks: Whether a run has the figure by blocks of its steps as well.
        timed: Whether it is a time or an energy, which other work on the machine changes: a run
            that was not alone has none.
        reach: For a time to a level, when it is reached or how long it is known not to be.
    """

    key: str
    title: str
    value: Callable[[Record], float | None]
    show: Callable[[float], str]
    same: tuple[str, ...]
    same_training: tuple[str, ...] = ()
    higher_is_better: bool = False
    speed: bool = False
    grain: Callable[[Record], float] = lambda _record: 0.0
    part: Part | None = None
    blocks: bool = False
    timed: bool = False
    reach: Callable[[Record], Reached | None] | None = None

    def of(self, record: Record) -> float | None:
        """The figure, None where it cannot be compared with that of a run alone."""
        return None if self.timed and record.beside else self.value(record)

    def reached(self, record: Record) -> Reached | None:
        """`reach` of a run that can be compared."""
        return None if self.reach is None or record.beside else self.reach(record)


def measures(levels: Levels) -> dict[str, Measure]:
    """All figures in reading order, by key."""
    quality = levels.quality
    of_main, of_second = _PARTS[quality.task]
    found = [
        _of_test(quality, quality.main, of_main),
        _of_test(quality, quality.second, of_second),
        Measure(
            "step_s",
            "step time",
            lambda record: record.number("step_time", "median_s"),
            seconds,
            _SAME_STEP,
            speed=True,
            timed=True,
            blocks=True,
            grain=lambda _record: _CLOCK,
        ),
        Measure(
            "fit_min",
            "training time",
            lambda record: _scaled(record.number("time", "fit_s"), 1 / 60),
            lambda value: f"{significant(value)} min",
            _SAME_FIT,
            speed=True,
            timed=True,
            grain=lambda _record: _CLOCK,
        ),
        _time_to(quality.short, f"validation {quality.main.name}", "≥", levels.main, reach_main),
        _time_to("loss", "loss", "≤", levels.loss, reach_loss),
        Measure(
            "peak_memory_bytes",
            "peak memory",
            peak_memory,
            lambda value: f"{value / _MEBIBYTE:.0f} MiB",
            (*_SAME_STEP, "memory measured"),
            grain=lambda _record: _MEBIBYTE,
        ),
        Measure(
            "energy_kj",
            "energy",
            lambda record: _scaled(record.number("energy", "joules"), 1e-3),
            lambda value: f"{significant(value)} kJ",
            (*_SAME_FIT, "energy method"),
            speed=True,
            timed=True,
            grain=lambda _record: _CLOCK,
        ),
    ]
    return {measure.key: measure for measure in found}


def runs_of(arm: Arm, measure: Measure) -> tuple[Record, ...]:
    """What the measure is taken of: runs, or for a figure of the test set all folds of a seed."""
    return arm.tested if measure.part else arm.records


def test_key(figure: Figure) -> str:
    """The key of a figure of the test set among the measures."""
    return f"test_{figure.key}"


def peak_memory(record: Record) -> float | None:
    """Peak memory of the GPU where one was used, otherwise of the process, in bytes."""
    device = record.number("memory", "peak_device_bytes")
    return record.number("memory", "peak_rss_bytes") if device is None else device


def memory_kind(record: Record) -> str | None:
    """Which memory `peak_memory` is of: `GPU` or `RSS`."""
    if record.number("memory", "peak_device_bytes") is not None:
        return "GPU"
    return "RSS" if record.number("memory", "peak_rss_bytes") is not None else None


def _of_test(quality: Quality, figure: Figure, part: Part) -> Measure:
    """A figure of quality on the test set."""

    def one_unit(record: Record) -> float:
        count = record.number("test", quality.count)
        return 1 / count if count else 0.0

    return Measure(
        test_key(figure),
        f"test {figure.name}",
        lambda record: record.tested(figure.key),
        three,
        _SAME_TEST,
        _SAME_TRAINING,
        higher_is_better=True,
        grain=one_unit,
        part=part,
    )


def _time_to(
    what: str,
    name: str,
    sign: str,
    level: Level | None,
    find: Callable[[Record, Level | None], Reached | None],
) -> Measure:
    """Time to the level of the main figure or of the loss."""

    def reach(record: Record) -> Reached | None:
        return find(record, level)

    def value(record: Record) -> float | None:
        found = reach(record)
        return found.seconds if found and found.yes else None

    at = f" {sign} {significant(level.value)}" if level else " level"
    return Measure(
        f"time_to_{what}",
        f"time to {name}{at}",
        value,
        seconds,
        _SAME_FIT,
        ("pretrained weights", "training set"),
        timed=True,
        reach=reach,
    )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
