"""What to do next, in plain words, with the line to paste where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tlx.common.cli import command
from tlx.records.learned import diverged
from tlx.report.comparison.candidates import NEXT, trained_on_less
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.records import Record
from tlx.report.comparison.settle import Settling
from tlx.report.comparison.sweep import with_seeds, with_value
from tlx.report.page.choice import export_command, row_of
from tlx.report.page.parts import Part
from tlx.report.page.spoken import capital, counted, duration

_TITLE = "What to do next"
_FEW_SEEDS = 3
_MOST_ACCEPTED = 0.5  # a larger loss is none that anybody accepts


def next_step(comparison: Comparison, advice: Recommendation, arguments: Sequence[str]) -> Part:
    """One thing to do, the most useful one.

    Args:
        comparison: The study, or the part of it that is of one data set.
        advice: Its answer.
        arguments: Arguments of `python -m tlx.report` that make this report.
    """
    records = [record for row in comparison.rows for record in row.arm.records]
    first = no_reference(comparison)
    if advice.outcome == "taken":
        part = _after_an_answer(comparison, advice, arguments, records)
        return replace(part, lines=[*first, *part.lines])
    if advice.outcome == "nothing learned":
        return _train_longer(comparison, records)
    if advice.outcome == "no limit kept":
        line = "No arm keeps the limits that this report was given: allow more, or try other arms."
        return Part(_TITLE, [line])
    if advice.settling is None:
        told = [capital(w.removeprefix(NEXT).strip()) for w in advice.words if w.startswith(NEXT)]
        other = "Train at least one other arm with the same seeds, so that there is a comparison."
        if advice.refused.keys() - trained_on_less(comparison.rows).keys():
            other = "Mend what keeps arms from being taken (above), and train these again."
        return Part(_TITLE, told or first or [other])
    part = _settle(advice, advice.settling, arguments, records)
    return replace(part, lines=[*first, *part.lines])


def no_reference(comparison: Comparison) -> list[str]:
    """That nothing was trained which freezing could be measured against; else nothing."""
    if any(comparison.reference(row) for row in comparison.rows):
        return []
    return ["Train freeze=none with the same seeds too: it is what freezing is measured against."]


def unfinished(comparison: Comparison) -> list[str]:
    """That runs are missing which the study has begun; nothing where all are finished."""
    fell = sum(diverged(record.data) is not None for record in comparison.unfinished)
    lines = []
    if count := len(comparison.unfinished) - fell:
        these = f"{count} runs are" if count > 1 else "1 run is"
        lines.append(
            f"{these} not finished and not counted here (see “Runs”): finish what was begun by the "
            "command of the study."
        )
    if fell:
        lines.append(
            f"{counted(fell, 'run')} diverged (see “Runs”), and would again: lower "
            "trainer.base_lr and trainer.head_lr for all arms."
        )
    return lines


def missing(settling: Settling) -> list[str]:
    """How many more seeds or pictures settle the question, with the time."""
    need = settling.need
    time = f"about {duration(settling.minutes)}" if settling.minutes else ""
    if need.pictures:
        more = f" and train with {counted(need.seeds, 'more seed')}" if need.seeds else ""
        return [
            f"More seeds alone cannot settle it. Label more test pictures, about {need.pictures} "
            f"instead of {settling.pictures}{more}; then run the study again"
            f"{f': {time} of training' if time else ''}."
        ]
    if need.seeds:
        then = "would give a first interval" if settling.first else "would most likely settle it"
        return [
            f"Train every arm with about {counted(need.seeds, 'more seed')}"
            f"{f': {time}' if time else ''}. That {then}; what is finished is not trained again."
        ]
    return [capital(settling.words.removeprefix(NEXT).strip())]


def _settle(
    advice: Recommendation, settling: Settling, arguments: Sequence[str], records: Sequence[Record]
) -> Part:
    lines, need = missing(settling), settling.need
    if need.seeds or need.pictures:
        lines += _accept_more(advice)
        line = settling.command or with_seeds(records, settling.seeds)
        if need.pictures and (line or not need.seeds):
            lines += ["With the new pictures in place:"] if line else []
        elif line is None:
            lines.append("To train more, give the command of the study these seeds:")
            line = f"seed={','.join(map(str, settling.seeds))}"
        else:
            lines.append("To train more:")
        return Part(_TITLE, lines, line)
    if not _accept_more(advice):
        return Part(_TITLE, lines)
    return Part(_TITLE, [*lines, *_accept_more(advice)], _report(advice, arguments))


def _accept_more(advice: Recommendation) -> list[str]:
    """With which accepted loss there would be an answer, where one can be asked for."""
    if advice.bound is None or advice.bound >= _MOST_ACCEPTED:
        return []
    return [
        f"Or accept a larger loss: with {_accepting(advice)} (a loss of {_enough(advice)} "
        f"{advice.quality.word}) these runs are enough for an answer."
    ]


def _enough(advice: Recommendation) -> str:
    """The bound, rounded up to a hundredth."""
    assert advice.bound is not None
    return f"{int(advice.bound * 100 + 1) / 100:g}"


def _accepting(advice: Recommendation) -> str:
    return f"{advice.quality.accept}={_enough(advice)}"


def _report(advice: Recommendation, arguments: Sequence[str]) -> str:
    kept = [text for text in arguments if not text.startswith(f"{advice.quality.accept}=")]
    return command("tlx.report", *kept, _accepting(advice))


def _after_an_answer(
    comparison: Comparison,
    advice: Recommendation,
    arguments: Sequence[str],
    records: Sequence[Record],
) -> Part:
    assert advice.arm is not None
    difference = advice.difference
    if difference is not None and difference.pairs < _FEW_SEEDS:
        known = sorted({int(text) for r in records if (text := str(r.get("seed"))).isdecimal()})
        seeds = [*known, max(known, default=-1) + 1]
        line = with_seeds(records, seeds) or f"seed={','.join(map(str, seeds))}"
        return Part(
            _TITLE,
            [f"{difference.pairs} seeds are few. One more makes this surer; the command of the "
             "study, with these seeds:"], line,
        )  # fmt: skip
    lines = ["Nothing more has to be trained to tell these arms apart."]
    exported = export_command(row_of(comparison, advice.arm))
    if exported is not None:
        return Part(_TITLE, [*lines, "Export its best network for the device:"], exported)
    lines.append(
        f"If a loss of {advice.limits.accepted_loss:g} is too much or too little for you, ask "
        "again with another one:"
    )
    half = advice.limits.accepted_loss / 2
    kept = [text for text in arguments if not text.startswith(f"{advice.quality.accept}=")]
    return Part(_TITLE, lines, command("tlx.report", *kept, f"{advice.quality.accept}={half:g}"))


def _train_longer(comparison: Comparison, records: Sequence[Record]) -> Part:
    epochs = max((record.number("epochs") or 0 for record in records), default=0)
    lines = [f"{capital(comparison.quality.remedy)}."]
    if not epochs:
        return Part(_TITLE, lines)
    more = f"{2 * epochs:.0f}"
    lines.append("To train twice as long:")
    line = with_value(records, "trainer.epochs", more) or f"trainer.epochs={more}"
    return Part(_TITLE, lines, line)
