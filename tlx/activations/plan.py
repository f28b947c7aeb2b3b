"""Whether a cache of activations pays: what it takes, what it saves, said before the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Forecast:
    """Arithmetic from one measured batch.

    Attributes:
        bytes: of all slots. fill_s: seconds of prefix work until every slot is filled.
        saved_s: seconds saved in each epoch after that. payback_epochs: epochs until what was
            saved outweighs what filling cost beyond an uncached run; None: never.
        epochs: of the phase.
    """

    bytes: int
    fill_s: float
    saved_s: float
    payback_epochs: int | None
    epochs: int

    def verdict(self, mode: str, budget: int) -> str | None:
        """Why the cache is declined, or None where it is used."""
        if self.bytes > budget:
            return f"{gigabytes(self.bytes)} are over cache.max_gb ({gigabytes(budget)})"
        if mode == "auto" and (self.payback_epochs is None or self.payback_epochs >= self.epochs):
            return f"it would not pay back within {self.epochs} epochs"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the record."""
        return asdict(self)


def forecast(
    *, epochs: int, views: int, pictures: int, batches: int, slot_bytes: int,
    prefix_s: float, exact_prefix_s: float, read_s: float,
) -> Forecast:  # fmt: skip
    """Forecast a phase.

    Args:
        views: of each picture; pictures: in the split; batches: an epoch's.
        prefix_s: seconds of the frozen prefix (and the pictures' loading) a batch without a cache;
        exact_prefix_s: the same in float32, in which the cache is filled; read_s: of reading back.
    """
    fill_s = views * batches * exact_prefix_s
    extra_s = views * batches * max(0.0, exact_prefix_s - prefix_s)
    saved_s = batches * (prefix_s - read_s)
    payback = None
    if saved_s > 0:
        payback = views + int(extra_s / saved_s) + 1
    return Forecast(views * pictures * slot_bytes, fill_s, saved_s, payback, epochs)


def gigabytes(count: float) -> str:
    """A readable size."""
    return f"{count / 1e9:.2f} GB"
