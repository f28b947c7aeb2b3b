"""Runs that were at work at once on one machine: their times are not those of a run alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tlx.report.comparison.records import Record, seconds_of

_MACHINE = ("cpu", "cores", "gpu", "memory_bytes", "platform")
_LEAST = 1.0  # seconds: records know whole ones
_SHOWN = 3  # runs that are named; a study of many seeds would fill a page
HELD_UP = 0.2  # of its training a run may wait for a core before it is said


@dataclass(frozen=True)
class _Span:
    """Seconds since 1970 in which a process worked on a run.

    Attributes:
        boot: the machine since its last start, None in records before version 0.3.0.
        machine: what the environment says of it.
    """

    start: float
    end: float
    boot: str | None
    machine: tuple[str | None, ...]

    def meets(self, other: _Span) -> bool:
        """Whether both were at work at once, as far as it is known on one machine."""
        if self.boot is not None and other.boot is not None:
            same = self.boot == other.boot
        else:
            # Two records that name no machine and agree to the second are copies of a run.
            copies = (self.start, self.end) == (other.start, other.end)
            same = self.machine == other.machine and not copies
        return same and min(self.end, other.end) - max(self.start, other.start) > _LEAST


def beside_each_other(records: Sequence[Record]) -> list[Record]:
    """The same records, each with the names of the runs that it ran beside."""
    spans = [_spans(record) for record in records]
    ordered = sorted(
        ((span, place) for place, own in enumerate(spans) for span in own),
        key=lambda pair: pair[0].start,
    )
    found: dict[int, set[int]] = defaultdict(set)
    working: list[tuple[_Span, int]] = []
    for span, place in ordered:
        working = [pair for pair in working if pair[0].end > span.start]
        for other, its_place in working:
            if place != its_place and span.meets(other):
                found[place].add(its_place)
                found[its_place].add(place)
        working.append((span, place))
    return [
        replace(record, beside=tuple(records[other].name for other in sorted(found[place])))
        for place, record in enumerate(records)
    ]


def waited_share(record: Record) -> float | None:
    """The share of its training, 0..1, in which a run waited for a core; None: not recorded."""
    waited, whole = record.number("time", "waited_s"), record.number("time", "fit_s")
    return waited / whole if waited is not None and whole else None


def overlap_warnings(records: Sequence[Record]) -> list[str]:
    """Which runs' times are not compared, and of which it is not known whether they can be."""
    crowded = [record for record in records if record.beside]
    lines = []
    if crowded:
        told = "; ".join(f"{r.name} (beside {_names(r.beside)})" for r in crowded[:_SHOWN])
        if (more := len(crowded) - _SHOWN) > 0:
            told += f"; and {more} more, which report.json names under not_alone"
        lines.append(
            f"Times and energy of {len(crowded)} of {len(records)} runs are not comparable, "
            f"because they ran at the same time as others on one machine: {told}."
        )
    if held_up := [(r.name, share) for r in records if (share := waited_share(r) or 0) > HELD_UP]:
        told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in held_up)
        lines.append(
            f"{len(held_up)} of {len(records)} runs waited for a core for more than "
            f"{100 * HELD_UP:.0f} % of their time, because other programs had it: {told}. Their "
            "times and energy hold that wait, and are no measure of what was frozen."
        )
    if unknown := [record.name for record in records if _unknown(record)]:
        lines.append(
            f"When {_names(unknown)} went on after a stop is not recorded: whether another run was "
            "at work beside cannot be known."
        )
    return lines


def not_alone(records: Sequence[Record]) -> str | None:
    """`ran beside RUN`, for the first of these runs that did."""
    others = next((record.beside for record in records if record.beside), None)
    return f"ran beside {_names(others)}" if others else None


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _unknown(record: Record) -> bool:
    segments = record.get("segments")
    return not segments and bool(record.number("resumes"))


def _spans(record: Record) -> list[_Span]:
    """When processes worked on a run; of one that went on without a note nothing is known."""
    machine = tuple(record.text("environment", key) for key in _MACHINE)
    segments = record.get("segments")
    if not isinstance(segments, list) or not segments:
        if record.number("resumes") or not any(machine):
            return []
        segments = [{"started": record.get("started"), "until": record.get("finished")}]
    spans = []
    for segment in segments:
        if not isinstance(segment, Mapping):
            continue
        start, end = (seconds_of(segment.get(key)) for key in ("started", "until"))
        boot = segment.get("boot")
        if start is not None and end is not None:
            spans.append(_Span(start, end, boot if isinstance(boot, str) else None, machine))
    return spans
