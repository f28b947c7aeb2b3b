"""What a reader must know of the data before trusting the figures: what its check found."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tlx.data.faults import RULES
from tlx.records.learned import always_clipped, diverged
from tlx.records.quality import CLASSIFICATION
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.records import Record
from tlx.report.comparison.tuning import tuning_warnings


def cautions(arms: Sequence[Arm]) -> list[str]:
    """Warnings that hold for the study as a whole, each once."""
    records = [record for arm in arms for record in arm.records]
    lines: list[str] = []
    for say in (_runs, _label_noise, _leaks, _faults, _notes, _resumes):
        lines += dict.fromkeys(line for record in records for line in say(record))
    return _asked_twice(arms) + _clipped(arms) + lines + tuning_warnings(arms) + _lengths(arms)


def _asked_twice(arms: Sequence[Arm]) -> list[str]:
    """Arms under two names of one freeze, as `13` and `all` are of 14 blocks."""
    same: dict[str, list[str]] = defaultdict(list)
    for arm in arms:
        phases = [
            [phase.get(key) for key in ("first_epoch", "blocks", "trains", "frozen_parameters")]
            for phase in arm.first.items("phases")
            if isinstance(phase, Mapping)
        ]
        if any(blocks for _, blocks, *_ in phases):
            rest = {key: value for key, value in arm.settings.items() if key != "freeze"}
            same[json.dumps([phases, rest], sort_keys=True, default=str)].append(arm.label)
    return [
        f"{' and '.join(labels)} froze the same blocks: they are one arm under two names, and what "
        "they differ by is chance."
        for labels in same.values()
        if len(labels) > 1
    ]


def _clipped(arms: Sequence[Arm]) -> list[str]:
    """Arms whose runs were always clipped, each once: of many seeds one line says as much."""
    lines = []
    for arm in arms:
        runs = [record for record in arm.records if always_clipped(record.data)]
        if not runs:
            continue
        who = runs[0].name if len(runs) == 1 else f"{arm.label}, {len(runs)} of its runs"
        lines.append(f"{who}: {always_clipped(*(record.data for record in runs))}")
    return lines


def _lengths(arms: Sequence[Arm]) -> list[str]:
    """Runs that stopped early, where not all are of one length."""
    if not any(record.get("stopped_early") for arm in arms for record in arm.records):
        return []
    trained = {
        arm.label: [
            record.number("epochs") if last is None else last + 1
            for record in arm.records
            for last in (record.number("stopped_early", "epoch"),)
        ]
        for arm in arms
    }
    if len({epochs for row in trained.values() for epochs in row}) == 1:
        return []
    told = "; ".join(
        f"{label} {', '.join('?' if n is None else f'{n:.0f}' for n in row)} epochs"
        for label, row in trained.items()
    )
    return [
        f"Runs stopped early, and had unlike lengths: {told}. Training time and energy hold how "
        "long a run went on, not only what a step costs; quality is that of the best epoch of "
        "each, and the rates of a run that stopped had not gone down to zero."
    ]


def _runs(record: Record) -> list[str]:
    """Runs whose loss ran away without ceasing to be a number."""
    return [f"{record.name}: {line}"] if (line := diverged(record.data)) else []


def _label_noise(record: Record) -> list[str]:
    """What copies of a picture that are annotated differently say about attainable figures."""
    noise = record.get("data_report", "label_noise")
    if not isinstance(noise, Mapping):
        return []
    files, boxes = (record.number("data_report", "label_noise", k) for k in ("files", "boxes"))
    ceiling, median, share = (
        record.number("data_report", "label_noise", key)
        for key in ("map", "median_iou", "share_75")
    )
    if None in (files, boxes, ceiling, median, share):
        return []
    return [
        f"Label noise: {files:.0f} pictures are byte-identical copies that were annotated more "
        f"than once. Their {boxes:.0f} boxes agree at IoU ≥ .75 in {share:.0%} of cases (median "
        f"IoU {median:.2f}); one annotation measured against the other reaches mAP@[.5:.95] "
        f"{ceiling:.2f}. Figures near or above that measure the annotators, not the arms."
    ]


def _leaks(record: Record) -> list[str]:
    """Pictures in two splits: dropped where identical, kept where only near-identical."""
    leaks, near = (record.items("data_report", key) for key in ("leaks", "near_leaks"))
    lines = []
    if leaks:
        lines.append(
            f"Leaks: {len(leaks)} picture(s) of train or val were dropped, because a more trusted "
            "split holds a byte-identical copy. Figures published on these splits are too high."
        )
    if near:
        lines.append(
            f"Near-leaks: {len(near)} picture(s) of train or val are near-identical to some of a "
            "more trusted split and were kept, because the set names these splits. Test figures "
            "are flattered for every arm alike."
        )
    return lines


def _faults(record: Record) -> list[str]:
    counts = record.get("data_report", "faults")
    if not isinstance(counts, Mapping):
        return []
    serious = [
        f"{count} {kind} ({RULES[kind].action})"
        for kind, count in counts.items()
        if kind in RULES and not RULES[kind].note
    ]
    if not serious:
        return []
    return [f"Faults in the data: {', '.join(serious)}. Each is named in a run's faults.json."]


def _notes(record: Record) -> list[str]:
    """The data check's own warnings, but for those on leaks, which are said above."""
    warnings = [line for line in record.items("data_report", "warnings") if isinstance(line, str)]
    if record.quality is CLASSIFICATION:  # the split's notes count labels, one a picture
        warnings = [w.replace("box(es)", "picture(s)").replace("box", "picture") for w in warnings]
    return [f"Data: {line}." for line in warnings if "more trusted split" not in line]


def _resumes(record: Record) -> list[str]:
    """Versions before 0.2.0 took no note of a resume, and could go on with the wrong batches."""
    unknown = int(record.number("resumes") or 0) - len(record.items("resumed"))
    if unknown <= 0:
        return []
    return [
        f"{record.name} went on from a checkpoint {unknown}x under a version of tlx that then "
        "trained on other batches than an undisturbed run, if it had loader processes "
        "(trainer.workers of 1 or more, the default): run it again before comparing it."
    ]
