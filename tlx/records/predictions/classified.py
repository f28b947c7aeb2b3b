"""What a classifier found on every test picture: `predictions.csv`, and what each adds to figures.

What a picture adds is its delete-one jackknife pseudo-value, as in `influence`. Of accuracy, a mean
over pictures, that is 1 or 0. Of macro F1 it follows from the confusion matrix, from which one
picture is taken; a class whose only picture is left out keeps its figure.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlx.common.errors import DataError, first_line

CLASSIFIED = "predictions.csv"
COLUMNS = ("picture", "class", "found", "probability")


@dataclass(frozen=True)
class Classified:
    """The test pictures in the order of the split.

    Attributes:
        pictures: paths below the data root, POSIX, [P].
        classes: the names that occur, sorted, [C].
        truth, found: places in `classes`, int [P].
        probability: of the class found, [P].
    """

    pictures: tuple[str, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    probability: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the class is the true one, [P]."""
        return self.truth == self.found

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Pictures by true class (rows) and class found, [C, C]."""
        matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        np.add.at(matrix, (self.truth, self.found), 1)
        return matrix

    def caption(self, index: int) -> str:
        """Of a picture, for people."""
        truth, found = self.classes[self.truth[index]], self.classes[self.found[index]]
        told = f"{truth}, found {found} ({self.probability[index]:.4f})"
        return f"{self.pictures[index]}: {told}"

    def pseudo_values(self, figure: Literal["accuracy", "macro_f1"]) -> NDArray[np.float64] | None:
        """What each picture adds to a figure, float64 [P]; None for fewer than two pictures."""
        if len(self.pictures) < 2:
            return None
        if figure == "accuracy":
            return self.right.astype(np.float64)
        by_cell = f1_leaving_out(self.confusion)
        return by_cell[self.truth, self.found]


def classified_path(run_dir: Path) -> Path:
    """The file of a run's folder."""
    return run_dir / CLASSIFIED


def read_classified(run_dir: Path) -> Classified:
    """The predictions of a run.

    Raises:
        DataError: they cannot be read, or are no such table.
    """
    path = classified_path(run_dir)
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
        probability = np.array([float(row[3]) for row in rows[1:]], dtype=np.float64)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise DataError(f"{path}: not a table of {', '.join(COLUMNS)}")
    names = sorted({name for row in rows[1:] for name in row[1:3]})
    place = {name: number for number, name in enumerate(names)}
    truth, found = (
        np.array([place[row[column]] for row in rows[1:]], dtype=np.int64) for column in (1, 2)
    )
    return Classified(tuple(row[0] for row in rows[1:]), tuple(names), truth, found, probability)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that have pictures; at least one has."""
    held = confusion.sum(1) > 0
    return float(_f1(confusion)[held].mean())


def f1_leaving_out(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pseudo-values of macro F1 of a picture of each cell of the matrix, float64 [C, C].

    NaN in cells without a picture. A picture counts in the F1 of its true and its found class
    alone, so that all cells are worked out at once.
    """
    hits, held = np.diag(confusion), confusion.sum(1)
    both = held + confusion.sum(0)
    whole, classes = _f1(confusion), int((held > 0).sum())
    pictures = int(held.sum())
    right = _ratio(2 * (hits - 1), both - 2)  # the class loses a picture that it had right
    wrong = _ratio(2 * hits, both - 1)  # it loses one that it had not, or one that was not its own
    last = held == 1
    # [C]: the change of the class's F1, 0 where its only picture goes and where it is not counted
    of_right = np.where(last | (held == 0), 0.0, right - whole)
    of_truth = np.where(last | (held == 0), 0.0, wrong - whole)
    of_found = np.where(held == 0, 0.0, wrong - whole)
    change = of_truth[:, None] + of_found[None, :]
    np.fill_diagonal(change, of_right)
    values = macro_f1(confusion) - (pictures - 1) * change / max(1, classes)
    return np.where(confusion > 0, values, np.nan)


def _f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    return _ratio(2 * np.diag(confusion), confusion.sum(0) + confusion.sum(1))


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> NDArray[np.float64]:
    """0 where there is nothing to divide by, as F1 has it."""
    return np.where(bottom > 0, top / np.maximum(bottom, 1), 0.0)
