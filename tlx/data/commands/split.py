"""tlx.data split: write down which picture is in which split, to review, commit and train by.

Usage
  python -m tlx.data split data=voc data.root=/path/to/set [data.KEY=VALUE ...] [output=FILE]

  data       sample, guns, ppe, voc, coco, yolo, auto: as for tlx.train, with the same keys
             (data.splits, data.val_fraction, data.split_seed, data.stratify, data.folds, …)
  output     a CSV file, or a folder for splits.csv (default: the current one)
  cache_dir  decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.data split data=guns data.root=/data/guns data.stratify=true output=splits/
  python -m tlx.train data=guns data.root=/data/guns data.splits=splits/ freeze=4

A line of the file is a picture: its path below data.root, its split, and a digest by which it is
found again if it was renamed. Move a picture by editing its line. A file that says otherwise is not
replaced. Exit code 0: written; 2: not, and one line says why.
"""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from tlx.common.cli import hydra_word
from tlx.common.console import stdout_console
from tlx.common.errors import StorageError, TlxError
from tlx.common.files import refuse_output, write_text
from tlx.config.splits import FILE
from tlx.data.commands.check import and_output, check_set, warnings_printed_here
from tlx.data.found import Found
from tlx.data.module import DetectionData
from tlx.data.split_file import splits_text


def output_file(output: str) -> Path:
    """The file that `output=` names: itself where it ends in `.csv`, else one in that folder."""
    path = Path(output).expanduser()
    return path if path.suffix.lower() == ".csv" and not path.is_dir() else path / FILE


def tell(data: DetectionData) -> None:
    """Print the pictures of each split, the boxes of each class there, and the warnings."""
    console = stdout_console()
    table = Table(
        "split", "pictures", "boxes", *(f"{name} boxes" for name in data.classes),
        title=data.report["root"],
    )  # fmt: skip
    for split, counts in data.report["counts"].items():
        each = (counts["per_class"][name] for name in data.classes)
        table.add_row(split, *map(str, (counts["images"], counts["boxes"], *each)))
    console.print(table)
    for warning in data.report["warnings"]:
        print(f"warning: {warning}")


def main(arguments: list[str]) -> None:
    """Entry point; raises `TlxError` where the set cannot be split or the file not be written."""
    given, output = and_output(arguments)
    with warnings_printed_here():
        path = output_file(output)
        refuse_output(path)
        try:
            _, data = check_set(given, Found())
        except TlxError as error:
            error.args = (" ".join(str(error).split()),)  # one line of a terminal
            raise
        root = Path(data.report["root"])
        text = splits_text(data.splits, root)
        if path.exists() and path.read_bytes() != text.encode():
            raise StorageError(
                f"{path} is there and says otherwise: name another output, or delete it first"
            )
        write_text(path, text)
        tell(data)
        print(f"written: {path}")
        print(f"train by it: {hydra_word(f'data.splits={path}')}")
