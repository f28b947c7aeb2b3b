"""Class predictors of a start are taken class by class, by their names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from torch import Tensor

from tlx.models.backbones.base import StateDict
from tlx.models.backbones.weights import Pretrained

log = logging.getLogger(__name__)


def by_name(
    pretrained: Pretrained, classes: Sequence[str], own: StateDict, layers: Iterable[str],
    background: bool,
) -> Pretrained:  # fmt: skip
    """The same weights with the class predictors in the order of `classes`.

    What predicts a class that the start does not know is as in `own`, untrained. Names are compared
    without regard to case. Nothing changes where the start does not say its classes; predictors
    that they do not fit are left out.

    Args:
        own: of the network that starts. layers: its layers that give the logits, by name.
        background: whether the logits have a column for it, the first.
    """
    theirs = pretrained.classes
    keys = [
        f"{layer}.{leaf}"
        for layer in layers
        for leaf in ("weight", "bias")
        if f"{layer}.{leaf}" in pretrained.state
    ]
    if theirs is None or not keys or list(theirs) == list(classes):
        return pretrained
    places = {name.casefold(): place for place, name in enumerate(theirs)}
    pairs = [
        (place + background, places[name.casefold()] + background)
        for place, name in enumerate(classes)
        if name.casefold() in places
    ]
    known = [name for name in classes if name.casefold() in places]
    columns = [(0, 0), *pairs] if background else pairs
    moved = {}
    for key in keys:
        rows = _moved(
            pretrained.state[key], own[key], columns,
            len(theirs) + background, len(classes) + background,
        )  # fmt: skip
        if rows is None:
            log.warning(
                "%s names %d classes, which its class predictors do not fit: they are left",
                pretrained.source, len(theirs),
            )  # fmt: skip
            return replace(
                pretrained, state={k: v for k, v in pretrained.state.items() if k not in keys}
            )
        moved[key] = rows
    named = f"{', '.join(known)} of {', '.join(classes)}" if known else "none by name"
    log.info("class predictors of %s: taken for %s", pretrained.source, named)
    return replace(pretrained, state={**pretrained.state, **moved})


def _moved(
    rows: Tensor, own: Tensor, columns: list[tuple[int, int]], theirs: int, ours: int
) -> Tensor | None:
    """Columns of every anchor (own, theirs); None where the shapes are no others of these."""
    if len(own) % ours or len(rows) != len(own) // ours * theirs or rows.shape[1:] != own.shape[1:]:
        return None
    found = own.detach().clone().unflatten(0, (-1, ours))
    given = rows.unflatten(0, (-1, theirs))
    for mine, place in columns:
        found[:, mine] = given[:, place]
    return found.flatten(0, 1)
