"""Say what, apart from the freezing, differs among the runs that a report compares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlx.records.arms import arm_key, unlike_keys, varying_keys
from tlx.report.comparison.arms import Arm, baseline, machine_of, reference_of
from tlx.report.comparison.measures import memory_kind
from tlx.report.comparison.records import Record

_COUNTED = ("none", "all", "heads", "scratch")  # freezes that have one spelling, as numbers have


@dataclass(frozen=True)
class Unlikeness:
    """One thing that differs among the runs, and the warning that says so."""

    what: str
    warning: str


@dataclass(frozen=True)
class _Check:
    """`asked` is the consequence where one of `keys` was varied, so that the study asks for it."""

    what: str
    value: Callable[[Record], str | None]
    consequence: str
    keys: tuple[str, ...] = ()
    asked: str = ""


def unlike(arms: Sequence[Arm]) -> list[Unlikeness]:
    """The differences among all runs of the arms; a value that is not recorded is no difference."""
    differences = []
    varied = set(varying_keys([arm.settings for arm in arms]))
    for check in _CHECKS:
        holders: dict[str, list[str]] = defaultdict(list)
        for arm in arms:
            for record in arm.tested if check.what in _OF_SPLITS else arm.records:
                drawn = record.draws_train and check.what == "training set"
                value = None if drawn else check.value(record)
                if value is not None and arm.label not in holders[value]:
                    holders[value].append(arm.label)
        if len(holders) > 1:
            listed = "; ".join(_with_holders(value, who) for value, who in holders.items())
            told = check.asked if varied & set(check.keys) else check.consequence
            warning = f"The runs differ in {check.what}: {listed}. {told}"
            differences.append(Unlikeness(check.what, warning))
    return differences


def beside_the_freeze(arms: Sequence[Arm]) -> list[str]:
    """Arms that differ from their reference in more than what is frozen and what `unlike` says."""
    lines = []
    for arm in arms:
        reference = reference_of(arm, arms)
        if reference is None or reference is arm or baseline(arm, arms) is not None:
            continue
        keys = [k for k in unlike_keys(arm.settings, reference.settings) if k not in _TOLD]
        if keys:
            lines.append(
                f"{arm.label} and {reference.label} differ in {', '.join(keys)} too: their "
                "difference is not the freeze's alone."
            )
    return lines


def under_two_names(arms: Sequence[Arm]) -> list[str]:
    """Arms that freeze the same blocks, by their names and by their numbers: seeds of one arm."""
    groups: dict[str, list[Arm]] = defaultdict(list)
    for arm in arms:
        if blocks := arm.first.items("frozen", "blocks"):
            rest = {k: v for k, v in arm.settings.items() if k != "freeze"}
            groups[f"{arm_key(rest)} {blocks}"].append(arm)
    return [
        f"{' and '.join(arm.label for arm in group)} freeze the same blocks under two names. They "
        "are one arm, whose seeds stand apart here: give all its runs one spelling."
        for group in groups.values()
        if len(group) > 1
        and not all(arm.depth in _COUNTED or arm.depth.isdecimal() for arm in group)
    ]


_MOST_NAMED, _NAMED = 8, 3  # arms of a value: so many by name, else only the first


def obstacle(one: Record, other: Record, same: Sequence[str]) -> str | None:
    """The first of these checks, by name, in which two runs differ; None when there is none.

    A value that is not recorded is no difference.
    """
    for name in same:
        values = {_BY_NAME[name].value(record) for record in (one, other)} - {None}
        if len(values) > 1:
            return name
    return None


def _with_holders(value: str, labels: Sequence[str]) -> str:
    """The value and the arms that have it, unless their labels spell it out already."""
    if all(value in label for label in labels):
        return value
    shown = list(labels)
    if len(labels) > _MOST_NAMED:  # a study of several factors has dozens
        shown = [*labels[:_NAMED], f"and {len(labels) - _NAMED} more"]
    return f"{value} ({', '.join(shown)})"


def _joined(*values: str | None) -> str | None:
    known = [value for value in values if value]
    return ", ".join(known) if known else None


def _classes(record: Record) -> str | None:
    classes = record.get("classes")
    return ", ".join(map(str, classes)) if isinstance(classes, list) else None


def _machine(record: Record) -> str | None:
    cpu, cores, gpu = machine_of(record)
    return _joined(gpu, cpu, cores and f"{cores} cores")


def _batch(record: Record) -> str | None:
    """Pictures of a step: as many as a batch has, times the batches of a step."""
    size, times = record.text("batch_size"), record.number("config", "trainer", "accumulate") or 1
    return f"{size} x {times:.0f}" if size and times != 1 else size


def _length(record: Record) -> str | None:
    """Epochs; of runs that are to take the time of a reference, that."""
    if (reference := record.text("tuning", "length", "reference")) is not None:
        return f"the time of {record.text('tuning', 'length', 'reference_epochs')} of {reference}"
    return record.text("epochs")


def _weights(record: Record) -> str | None:
    if record.scratch:
        return None
    # A source can change what it serves, so the digest is part of what is compared.
    digest = record.text("weights", "sha256")
    return _joined(record.text("weights", "source"), digest and digest[:12])


def _test_set(record: Record) -> str | None:
    counts = [
        f"{count} {what}"
        for what in ("images", "boxes", "pictures")
        if (count := record.text("test", what))
    ]
    return _joined(*counts, _members(record, "test"))


def _training_set(record: Record) -> str | None:
    told = [
        f"{record.text('dataset', 'splits', split, 'images')} images of {split} {members}"
        for split in ("train", "val")
        if (members := _members(record, split))
    ]
    return _joined(*told)


def _members(record: Record, split: str) -> str | None:
    """Which pictures and boxes a split had, as digests that are equal where these are."""
    pictures, boxes = (
        record.text("dataset", "splits", split, key) for key in ("pictures", "boxes")
    )
    return f"(pictures {pictures[:6]}, boxes {boxes[:6]})" if pictures and boxes else None


def _energy_method(record: Record) -> str | None:
    if record.number("energy", "joules") is None:
        return None
    measured = "measured" if record.get("energy", "measured") else "estimated"
    return _joined(measured, record.text("energy", "method"))


def _precision(record: Record) -> str | None:
    return record.text("engine", "precision") or record.text("precision")


def _software(record: Record) -> str | None:
    torch, tlx, commit = (record.text("environment", key) for key in ("torch", "tlx", "git_commit"))
    return _joined(torch and f"torch {torch}", tlx and f"tlx {tlx}", commit and f"{commit[:12]}")


_NOT_TEST = "Test figures of unlike runs do not show what freezing does."
_CHECKS = (
    _Check("data", lambda record: record.text("data"), _NOT_TEST),
    _Check("classes", _classes, _NOT_TEST),
    _Check("test set", _test_set, _NOT_TEST),
    _Check(
        "training set",
        _training_set,
        "The data changed between the runs: a difference may come from that. Train the earlier "
        "ones again.",
        keys=("data.name", "data.root", "data.train_fraction"),
        asked="A difference may come from the data.",
    ),
    _Check(
        "backbone",
        lambda record: record.text("backbone"),
        "A depth of one backbone is not that depth of another.",
    ),
    _Check("pretrained weights", _weights, "A difference may come from the weights."),
    _Check(
        "input size",
        lambda record: record.text("input_size"),
        "Neither times nor test figures can be set side by side.",
    ),
    _Check(
        "epochs",
        _length,
        "The longer run had more training, whatever it froze.",
    ),
    _Check(
        "batch size",
        _batch,
        "A step is not the same amount of work.",
    ),
    _Check(
        "machine",
        _machine,
        "Times and memory of different machines cannot be compared; the measured speed-up is "
        "given only where one machine made both arms.",
    ),
    _Check(
        "precision",
        _precision,
        "Speed-ups hold more than the freeze; name one for all runs: trainer.precision=32-true.",
        keys=("trainer.precision",),
        asked="Differences in time hold what the precision does.",
    ),
    _Check("memory measured", memory_kind, "GPU memory and resident memory cannot be compared."),
    _Check("energy method", _energy_method, "Energies got in unlike ways cannot be compared."),
    _Check("software", _software, "A difference may come from the program."),
)
_OF_SPLITS = ("test set", "training set")  # which the folds of one study do not share
_TOLD = {"trainer.epochs", "backbone.weights"}
_BY_NAME = {check.what: check for check in _CHECKS}
