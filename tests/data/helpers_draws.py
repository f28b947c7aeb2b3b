"""Figures of many random draws, for comparisons of their distributions."""

from __future__ import annotations

import numpy as np

Draws = dict[str, np.ndarray]  # name of a figure -> its value in every draw
VIEWS = 4000  # draws of ours


def stacked(draws: list[Draws]) -> Draws:
    """Rounded, so that values that tie do so on both sides."""
    return {name: np.array([draw[name] for draw in draws], float).round(6) for name in draws[0]}
