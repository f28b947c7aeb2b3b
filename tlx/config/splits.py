"""What `data.splits`, `data.folds` and `data.fold` ask for, before any picture is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice

CHOICES = ("named", "cut")  # keep the splits that a set names, or divide all its pictures anew
FILE = "splits.csv"
LISTS = {"train.txt": "train", "val.txt": "val", "valid.txt": "val", "test.txt": "test"}
LONGEST = 256 * 2**20  # bytes of a file: a million pictures have half of it
MOST_FOLDS = 100
_DIGITS = 16


def split_files(where: str) -> list[Path]:
    """The files that `data.splits=FILE_OR_FOLDER` names: one table, or the lists of a folder.

    Raises:
        ConfigError: there are none.
    """
    path = Path(where).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(
            f"{unknown_choice('data.splits', where, CHOICES)}; and no file or folder of splits is "
            "there (python -m tlx.data split writes one)"
        )
    if (path / FILE).is_file():
        return [path / FILE]
    if lists := [path / name for name in LISTS if (path / name).is_file()]:
        return lists
    raise ConfigError(f"data.splits={where} holds neither {FILE} nor {', '.join(LISTS)}")


def splits_digest(where: str | None) -> str | None:
    """A digest (16 hex digits) of what the files say; None where none can be read (what is wrong
    with them is said where the data are read).

    It is part of a run's configuration, so that a run of other splits is another run.
    """
    if not where or where in CHOICES:
        return None
    try:
        files = split_files(where)
        if any(path.stat().st_size > LONGEST for path in files):
            return None
        contents = [(path.name, path.read_bytes()) for path in files]
    except (ConfigError, OSError):
        return None
    found = hashlib.sha256()
    for name, content in contents:
        lines = content.replace(b"\r\n", b"\n")
        # The name of a table says nothing, that of a list is the split.
        found.update(f"{LISTS.get(name, '')}:{len(lines)}:".encode() + lines)
    return found.hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class Fold:
    """Fold `number`, from 0, of `count`: its pictures are tested."""

    number: int
    count: int

    @classmethod
    def of(cls, folds: int | None, fold: int | None) -> Fold | None:
        """What `data.folds` and `data.fold` ask for; None where there are no folds.

        Raises:
            ConfigError: one is given without the other, or there is no such fold.
        """
        if folds is None and fold is None:
            return None
        if folds is None:
            raise ConfigError(f"data.fold={fold} needs the number of folds: data.folds=5")
        if not 2 <= folds <= MOST_FOLDS:
            raise ConfigError(f"data.folds={folds} must be between 2 and {MOST_FOLDS}")
        if fold is None:
            numbers = ",".join(map(str, range(folds)))
            raise ConfigError(
                f"data.folds={folds} needs the fold that is tested: data.fold={numbers} with -m "
                "for all of them, or one"
            )
        if not 0 <= fold < folds:
            raise ConfigError(f"data.fold={fold} must be between 0 and {folds - 1}")
        return cls(fold, folds)

    def val_share(self, val_fraction: float) -> float:
        """The part of what is not tested that is val, so that val is `val_fraction` of all.

        Raises:
            ConfigError: nothing would be left to train on.
        """
        share = val_fraction * self.count / (self.count - 1)
        if not 0 < share < 1:
            raise ConfigError(
                f"data.val_fraction={val_fraction} and a test set of 1/{self.count} of the "
                "pictures (data.folds) leave nothing to train on"
            )
        return share
