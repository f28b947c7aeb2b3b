"""A confusion matrix: true classes from top to bottom, found ones from left to right."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tlx.report.charts.base import Chart, wrapped
from tlx.report.charts.style import new_figure
from tlx.report.comparison.formats import counted

_WORDS = 8  # confusions that the alternative text lists
_ROW, _MARGIN = 0.42, 2.2  # inches
_LONGEST = 24  # characters of a name below a column
_DARK = 0.55  # of a row's share, from which on type is white
_SHARES = 12  # classes up to which a cell has room for its share too


@dataclass(frozen=True)
class MatrixChart(Chart):
    """`counts` [C, C] are means over `seeds` runs, `shares` the same by the whole true class."""

    arm: str
    seeds: int
    classes: list[str]
    counts: list[list[float]]
    shares: list[list[float]]

    def draw(self, *, narrow: bool = False) -> Figure:
        count = len(self.classes)
        height = max(4.0, _MARGIN + _ROW * count)
        figure, (axes,) = new_figure(height=height, narrow=narrow)
        axes.imshow(np.array(self.shares), cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=1,
                    aspect="auto")  # fmt: skip
        room, tight = count <= (_SHARES // 2 if narrow else _SHARES), narrow and count > _SHARES
        for row, column in np.argwhere(np.array(self.counts) > 0).tolist():
            share = self.shares[row][column]
            text = counted(self.counts[row][column])
            if tight:  # no room for the decimal
                text = text.partition(".")[0] if self.counts[row][column] >= 1 else "<1"
            axes.text(
                column, row, f"{text}\n{share:.0%}" if room else text, ha="center", va="center",
                fontsize=10 if room else 7 if tight else 8, linespacing=1.1,
                color="white" if share > _DARK else "black",
            )  # fmt: skip
        level = max(map(len, self.classes)) * count < (30 if narrow else 70)
        short = [textwrap.shorten(name, _LONGEST, placeholder="…") for name in self.classes]
        axes.set_xticks(
            range(count), short, rotation=0 if level else 90, fontsize=8 if tight else None
        )
        axes.set_yticks(range(count), [wrapped(name, narrow=narrow) for name in self.classes])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for edge in np.arange(0.5, count - 1):
            axes.axhline(edge, color="0.85", linewidth=0.8)
            axes.axvline(edge, color="0.85", linewidth=0.8)
        axes.tick_params(length=0)
        axes.set_ylabel("true class")
        axes.set_xlabel("taken for")
        mean = f"mean of {self.seeds} seeds" if self.seeds > 1 else "one seed"
        axes.set_title(textwrap.fill(f"{self.arm}, {mean}: pictures, share of the true class",
                                     40 if narrow else 80), fontsize=10, loc="right")  # fmt: skip
        return figure

    @property
    def alt(self) -> str:
        counts = np.array(self.counts)
        right = [
            f"{name} {self.shares[k][k]:.0%} right" for k, name in enumerate(self.classes[:_WORDS])
        ]
        wrong = counts - np.diag(np.diag(counts))
        order = [divmod(int(k), len(self.classes)) for k in np.argsort(-wrong, axis=None)]
        names = self.classes
        most = [
            f"{names[row]} taken for {names[column]} {counted(counts[row, column])} times"
            for row, column in order[:_WORDS]
            if wrong[row, column] > 0
        ]
        told = f" Most often: {'; '.join(most)}." if most else " Nothing was confused."
        return f"{self.title}: {', '.join(right)}.{told}"
