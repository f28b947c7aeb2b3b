"""The value of `freeze=…` as a set of trunk blocks.

`freeze=N` freezes blocks 0..N **inclusive**, as the published comparison on the Guns set counts.
Any other set is spelled with ranges and sums: `2..8`, `3..` (all of the backbone but the first
three), `0+5..7`; a list, `[0,5..7]`, says the same. In these a block stands for itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tlx.common.errors import ConfigError
from tlx.freeze.keras_index import PREFIX, keras_block
from tlx.models.blocks import Blocks, as_blocks

if TYPE_CHECKING:
    from tlx.models.backbones.base import BackboneSpec

SPELLINGS = (
    "none, a block number (blocks 0..N inclusive), a block's name, all, neck, keras:N, or a set "
    "such as 2..8, 3.. or 0+5..7"
)
TRAINS = {"all": "none", "first": "3..", "heads": "neck"}
"""`train=…`, where it is the trained part that has a name, as values of `freeze`. `first` is the
first three blocks and the heads: surgical fine-tuning (Lee et al. 2023, arXiv:2210.11466)."""

_WORDS = ("none", "all", "neck", "heads", "scratch")
_RANGE, _SUM = SET_MARKS = "..", "+"  # what a set of blocks is spelled with
_NUMBERS = re.compile(r"[0-9]+(\.\.[0-9]+)?( *\+ *[0-9]+(\.\.[0-9]+)?)*")
_MOST = 10_000  # blocks
_FROM_THE_FIRST = re.compile(r"0*\.\.([^.+]+)")


def freeze_label(value: Any) -> str:
    """One spelling per meaning: ``4``, ``'4'`` and ``0..4`` are the same run, ``neck`` and
    ``heads`` too, and a list is the sum of its parts. Numbers are put in order and joined:
    ``4+3+2`` is ``2..4``; names are left as they are written."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [str(part).strip() for part in value]
        alone = len(parts) == 1 and _RANGE not in parts[0] and parts[0] not in _WORDS
        label = f"{parts[0]}{_RANGE}{parts[0]}" if alone else _SUM.join(parts)
    else:
        label = str(value).strip()
    if found := _FROM_THE_FIRST.fullmatch(label):
        label = found[1]
    elif _NUMBERS.fullmatch(label) and (_SUM in label or _RANGE in label):
        label = _in_order(label)
    return {"neck": "heads", "0..": "all"}.get(label, label)


def _in_order(label: str) -> str:
    """A set of numbered blocks as the ranges that it consists of."""
    found: set[int] = set()
    for part in label.split(_SUM):
        first, _, last = part.partition(_RANGE)
        start, stop = int(first), int(last or first)
        if stop < start or stop >= _MOST:  # of no network: what it is instead is said elsewhere
            return label
        found |= set(range(start, stop + 1))
    starts = sorted(i for i in found if i - 1 not in found)
    stops = sorted(i for i in found if i + 1 not in found)
    if starts == [0] and len(stops) == 1:
        return str(stops[0])
    if len(starts) == 1:
        return f"{starts[0]}{_RANGE}{stops[0]}"
    return _SUM.join(
        f"{a}{_RANGE}{b}" if b > a else str(a) for a, b in zip(starts, stops, strict=True)
    )


def frozen_blocks(value: Any, spec: BackboneSpec, own_blocks: Sequence[str] = ()) -> Blocks:
    """Which blocks of the trunk (backbone, then the detector's) `freeze=value` freezes.

    ``none`` none; ``N`` 0..N; a block's name up to and with it (of the neck too); ``all`` the
    backbone; ``neck`` the backbone and the neck, which are `own_blocks` of the detector, so that
    only the heads train (``heads`` says the same); ``keras:N`` the first N layers of the model in
    Keras; a set what it names, in which ``neck`` is the neck alone. Anything else is a
    `ConfigError` that lists the blocks.
    """
    label = freeze_label(value)
    if label == "none":
        return as_blocks(0)
    if label == "all":
        return as_blocks(len(spec.blocks))
    if label == "heads":
        return as_blocks(len(spec.blocks) + len(own_blocks))
    if label == "scratch":
        raise ConfigError(
            "freeze=scratch is a value of sweeps (-m); a single run from scratch is "
            "backbone.weights=scratch"
        )
    if label.startswith(PREFIX):
        label = keras_block(label, spec)
    if label in (names := [*spec.blocks, *own_blocks]):  # of the neck too: `0..extra_2`
        return as_blocks(names.index(label) + 1)
    is_set = _RANGE in label or _SUM in label
    if is_set and (places := _places(label, spec, own_blocks)) is not None:
        return places
    if not isinstance(value, bool) and label.isascii() and label.isdecimal():
        if (number := int(label)) < len(spec.blocks):
            return as_blocks(number + 1)
        problem = f"freeze={label} goes past the last block of {spec.name}"
    else:
        problem = f"freeze={label} is not understood (it takes {SPELLINGS})"
    if backwards := _backwards(label, names) if is_set else None:
        problem = f"freeze={label}: {backwards} runs backwards: a range names its first block first"
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(spec.blocks))
    listed += f"; of the neck: {', '.join(own_blocks)}" if is_set and own_blocks else ""
    raise ConfigError(f"{problem}; its blocks are: {listed}")


def _places(label: str, spec: BackboneSpec, own_blocks: Sequence[str]) -> Blocks | None:
    """The blocks of a sum of blocks and ranges; None where a part names none of them."""
    names, last = [*spec.blocks, *own_blocks], len(spec.blocks) - 1
    found: set[int] = set()
    for part in (text.strip() for text in label.split(_SUM)):
        if part == "neck" and own_blocks:
            found |= set(range(last + 1, len(names)))
            continue
        start, between, stop = (text.strip() for text in part.partition(_RANGE))
        first = _place(start, names, last) if start or not between else 0
        end = _place(stop, names, last) if stop else (last if between and start else first)
        if first is None or end is None or end < first or part == _RANGE:
            return None
        found |= set(range(first, end + 1))
    return frozenset(found)


def _backwards(label: str, names: Sequence[str]) -> str | None:
    """The first range of a set whose blocks are there and in the wrong order."""
    for part in (text.strip() for text in label.split(_SUM)):
        start, _, stop = (text.strip() for text in part.partition(_RANGE))
        ends = [_place(text, names, len(names)) for text in (start, stop)]
        if None not in ends and ends[1] < ends[0]:  # type: ignore[operator]
            return part
    return None


def _place(text: str, names: Sequence[str], last: int) -> int | None:
    """Of a block by its name, or by its number in the backbone."""
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdecimal() and int(text) <= last:
        return int(text)
    return None
