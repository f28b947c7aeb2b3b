"""What the figures of a check mean, in sentences for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tlx.data.page.near import NearGroup
from tlx.data.page.priors import MENDED, USUAL, PriorFit
from tlx.data.page.test_error import TestError


def prior_notes(fit: PriorFit | None, other: PriorFit | None = None) -> list[str]:
    """What the table of priors means, in sentences.

    Args:
        other: the fit of a detector for small objects, where `fit` never reaches some class.
    """
    if fit is None:
        return []
    if not fit.lost:
        fits = f"At {fit.size} px the priors reach {_share(MENDED)} and more of every class."
        return [fits, *_usual_note(fit)]
    notes = [
        f"At {fit.size} px the priors reach only {_shares(fit.recall[fit.size], fit.lost)} (IoU .5 "
        "or more). A box that none reaches trains a single prior, which hardly fits it.",
        *_usual_note(fit),
    ]
    if mended := [name for name in fit.lost if fit.mends[name]]:
        sizes = ", ".join(f"{name} {fit.mends[name]} px" for name in mended)
        notes.append(f"The smallest input sizes tried that reach {_share(MENDED)}: {sizes}.")
    if fit.never:
        best = {name: max(recall[name] for recall in fit.recall.values()) for name in fit.never}
        low, high = fit.size, max(fit.recall)
        notes.append(
            f"No size tried reaches {_share(MENDED)} of {', '.join(fit.never)} (at best "
            f"{_shares(best, fit.never)}): the smallest prior has {fit.smallest[low]:.0f} px at "
            f"{low} px and {fit.smallest[high]:.0f} px at {high} px."
        )
        if other is not None:
            notes.append(
                f"{other.choice} reaches {_shares(other.recall[other.size], fit.never)}; its "
                f"smallest prior has {other.smallest[other.size]:.0f} px."
            )
    return notes


def _usual_note(fit: PriorFit) -> list[str]:
    """What a larger input than the usual one is for."""
    if fit.size <= USUAL or USUAL not in fit.recall:
        return []
    lost = [name for name, share in fit.recall[USUAL].items() if share < MENDED]
    return [f"At {USUAL} px it would be {_shares(fit.recall[USUAL], lost)}."] if lost else []


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _shares(recall: Mapping[str, float], names: Sequence[str]) -> str:
    return ", ".join(f"{_share(recall[name])} of {name}" for name in names)


def near_note(groups: Sequence[NearGroup]) -> str:
    """How many near-identical pictures there are, in a sentence."""
    if not groups:
        return "no near-identical pictures"
    files = sum(len(group.members) for group in groups)
    across = sum(len(group.splits) > 1 for group in groups)
    return (
        f"{len(groups)} groups of near-identical pictures with {files} files; "
        f"{across or 'none'} of the groups {'lies' if across < 2 else 'lie'} across splits"
    )


def noise_note(noise: Mapping[str, Any] | None) -> str:
    """What copies that are annotated twice tell, in a sentence; empty without any."""
    if noise is None:
        return ""
    return (
        f"{noise['files']} files have byte-identical copies with annotations of their own. Against "
        f"one another they agree at a median IoU of {noise['median_iou']:.2f}, on "
        f"{_share(noise['share_75'])} of the boxes at IoU .75, and reach mAP@[.5:.95] "
        f"{noise['map']:.2f}: more no model can be expected to reach on such pictures."
    )


def error_notes(error: TestError | None) -> list[str]:
    """The largest error of the test figures to expect, in sentences."""
    if error is None:
        return ["The test split has no box that counts: there will be no test figure."]
    return [
        f"The test split has {error.boxes} boxes of {error.classes} "
        f"{'class' if error.classes == 1 else 'classes'} in {error.pictures} pictures "
        f"({error.units} of them, or groups of near copies, hold a box). A mAP@.5 of .5 measured "
        f"on it has a 95 % interval of ± {error.together:.3f} if the objects of a picture are "
        f"found or missed together, and ± {error.apart:.3f} if each is by itself: smaller "
        "differences between two models say little.",
        "Assumed: average precision varies as the share of objects that are found; pictures are "
        "drawn at random from those that count. Kish's effective number and Wilson's interval; "
        "false alarms, and what another seed would change, come on top.",
    ]
