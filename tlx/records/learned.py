"""Whether a run has learned anything: below a floor of quality, figures compare nothing."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from tlx.common.errors import DivergenceError
from tlx.records.quality import DETECTION, Quality, number, quality_of

FLOOR = 0.01
"""mAP@.5 (0..1) that chance hits of an untrained detector stay below."""
ABOVE_CHANCE = 0.05
"""By how much the mean accuracy of the classes has to exceed chance, which is 1 / their number."""
DIVERGED = 10.0
"""Times its beginning that a loss has to end at, to have run away."""
LEAST_BEGINNING = 10.0
"""A first loss below this counts as this: that of an untrained detector, where a first batch
happens to hold next to no object."""
CLIPPED = 0.9
"""Share of clipped steps from which on rates have lost their meaning."""
NEXT = DETECTION.remedy
"""What to try where no detector has learned."""


def learned(record: Mapping[str, Any]) -> bool | None:
    """Whether the best epoch on val or the test reaches `FLOOR`, or is `ABOVE_CHANCE`.

    Args:
        record: `record.json` of a run, of any age.

    Returns:
        None where neither figure (or, of a classifier, the number of classes) is known, so that
        nothing can be said.
    """
    figures = [value for value in _known(record).values() if value is not None]
    if not figures:
        return None
    if quality_of(record) is DETECTION:
        return max(figures) >= FLOOR
    chance = _chance(record)
    return None if chance is None else max(figures) > chance + ABOVE_CHANCE


def floor(record: Mapping[str, Any]) -> float:
    """What the figures of runs like this one exceed where anything has been learned."""
    if quality_of(record) is DETECTION:
        return FLOOR
    return (_chance(record) or 0.0) + ABOVE_CHANCE


def nothing_learned(record: Mapping[str, Any]) -> str | None:
    """One sentence for people where a run has learned nothing, otherwise None."""
    if learned(record) is not False:
        return None
    quality = quality_of(record)
    known = _known(record).items()
    told = ", ".join(f"{value:.4f} {where}" for where, value in known if value is not None)
    chance = _chance(record) if quality is not DETECTION else None
    beside = "" if chance is None else f", and chance gives {chance:.4f}"
    return f"Nothing has learned: {quality.learning.name} is {told}{beside}; {quality.remedy}."


def too_low(quality: Quality) -> str:
    """What figures a run has that has learned nothing, in words."""
    name = quality.learning.name
    if quality is DETECTION:
        return f"{name} below {FLOOR:g}"
    return f"{name} at most {ABOVE_CHANCE:g} above chance"


def never_reached(quality: Quality) -> str:
    """The same of all runs of a study."""
    name = quality.learning.name
    if quality is DETECTION:
        return f"no run reaches a {name} of {FLOOR:g}"
    return f"in no run is the {name} more than {ABOVE_CHANCE:g} above chance"


def always_clipped(*records: Mapping[str, Any]) -> str | None:
    """One sentence for people on runs of one arm, (nearly) every step of which was clipped.

    None where there is a run among them of which that is not so, or not known.
    """
    shares, norms = (
        [number(record.get("gradients"), key) for record in records]
        for key in ("clipped", "median_norm")
    )
    known = [share for share in shares if share is not None and share >= CLIPPED]
    sizes = [norm for norm in norms if norm is not None]
    if not records or len(known) < len(records) or len(sizes) < len(records):
        return None
    config = records[0].get("config")
    trainer = config.get("trainer") if isinstance(config, Mapping) else None
    adam = isinstance(trainer, Mapping) and trainer.get("optimizer") == "adamw"
    # Adam divides by the gradients' own size (Kingma & Ba 2015, section 2.1).
    why = (
        "with AdamW, whose steps do not depend on the gradients' size, that changes little"
        if adam
        else "how far they went is trainer.clip_norm times the rates, whatever the gradients' size"
    )
    share, norm = (
        " to ".join(dict.fromkeys(each.format(end(values)) for end in (min, max)))
        for values, each in ((known, "{:.0%}"), (sizes, "{:.3g}"))
    )
    return f"{share} of the steps were clipped (median gradient norm {norm}): {why}."


def diverged(record: Mapping[str, Any]) -> str | None:
    """One sentence for people where the loss has run away, otherwise None.

    A loss that is no number has stopped the run (`DivergenceError`). Of others the median of the
    last tenth of the steps is compared with the first step's, which comes before any update.
    """
    error = record.get("error")
    if isinstance(error, Mapping) and error.get("type") == DivergenceError.__name__:
        return f"The training diverged: {error.get('message')}"
    course = record.get("loss")
    try:
        losses = [float(row[2]) for row in course]  # type: ignore[union-attr]
    except (TypeError, LookupError, ValueError, OverflowError):
        return None
    if not losses:
        return None
    end = median(losses[-max(1, len(losses) // 10) :])
    if end <= DIVERGED * max(losses[0], LEAST_BEGINNING):
        return None
    return (
        f"The training diverged: its loss began at {losses[0]:.4g} and ended at {end:.4g}, so its "
        "weights are worth nothing; lower trainer.base_lr and trainer.head_lr, or set "
        "trainer.clip_norm."
    )


def _known(record: Mapping[str, Any]) -> dict[str, float | None]:
    """The figure that tells, by where it was measured."""
    key = quality_of(record).learning.key
    places = {"test": "on test", "best": "in the best epoch on val"}
    return {where: number(record.get(part), key) for part, where in places.items()}


def _chance(record: Mapping[str, Any]) -> float | None:
    classes = record.get("classes")
    return 1 / len(classes) if isinstance(classes, list) and classes else None
