"""tlx.inspect: look at the test pictures of runs in FiftyOne, and note what to fix.

Usage
  python -m tlx.inspect RUN... [KEY=VALUE ...]

Shows ground truth, what each run found, and saved views of missed objects, false alarms, wrong
classes, low IoU, small objects, high-loss images, disagreement between policies, and near
duplicates. Needs the extra: pip install 'tlx-detect[viz]'.

  RUN         run folder, or a study's
  score       least score of a detection that counts (default 0.3)
  root        where the pictures are now (default: where the record says)
  fixes       write the tags that were set in the App to this CSV file, and open nothing
  port        of the App, on this machine only (default 5151)
  no_browser  true: serve the App, open no browser

Every key may be written --key VALUE too.

Examples
  python -m tlx.inspect runs/my-study
  python -m tlx.inspect runs/my-study fixes=fixes.csv

Tags that are set in the App are kept. `remove`, `wrong box` and `missing object` mean something to
tlx.data: fixes=FILE writes all tags to a list, data.fixes=FILE trains with it (docs/inspect.md).
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.common.cli import Options
from tlx.common.errors import DataError, TlxError
from tlx.data.fixes import write_fixes
from tlx.inspect.app import ADDRESS, open_app
from tlx.inspect.backend import import_fiftyone
from tlx.inspect.dataset import INPUTS, build_dataset, dataset_name, inputs_digest
from tlx.inspect.findings import find
from tlx.inspect.runs import SeenRuns, load_runs
from tlx.inspect.tags import read_tags, set_tags
from tlx.inspect.views import save_views
from tlx.records.predictions import SHOWN

log = logging.getLogger(__name__)


def parser() -> Options:
    """The command line of `python -m tlx.inspect`; the text above says what each key is."""
    found = Options("python -m tlx.inspect", __doc__)
    found.add_argument("runs", nargs="+", type=Path)
    found.add_argument("--score", type=float, default=SHOWN)
    found.add_argument("--root", type=Path)
    found.add_argument("--fixes", type=Path)
    found.add_argument("--port", type=int, default=5151)
    found.add_argument("--no-browser", action="store_true")
    return found


def make_dataset(seen: SeenRuns, score: float) -> Any:
    """The dataset of these runs; tags of an earlier one are taken over."""
    fo = import_fiftyone()
    name = dataset_name(seen)
    earlier = fo.load_dataset(name) if fo.dataset_exists(name) else None
    if earlier is not None and earlier.info.get(INPUTS) == inputs_digest(seen, score):
        return earlier
    # Under another name until it is whole: the tags of the earlier one are a person's work.
    dataset = build_dataset(f"{name}-draft", seen, find(seen, score), score)
    save_views(dataset, seen)
    if earlier is not None:
        for fix in set_tags(dataset, read_tags(earlier)):
            log.warning("the tag %r of %s has no place any more: left out", fix.tag, fix.image)
        earlier.delete()
    dataset.name = name
    return dataset


def save_fixes(seen: SeenRuns, path: Path) -> None:
    """Write the tags of the runs' dataset as a data-fix list."""
    fo = import_fiftyone()
    name = dataset_name(seen)
    if not fo.dataset_exists(name):
        raise DataError("these runs were not looked at yet: leave fixes= out and set tags first")
    fixes = read_tags(fo.load_dataset(name))
    write_fixes(path, fixes)
    counts = Counter(fix.tag for fix in fixes)
    print(f"{path}: " + (", ".join(f"{n} {tag}" for tag, n in counts.items()) or "no tag is set"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    given = parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        if not 0 <= given.score <= 1:
            raise DataError(f"score={given.score} must be between 0 and 1")
        seen = load_runs(given.runs, given.root)
        if given.fixes:
            save_fixes(seen, given.fixes)
            return 0
        dataset = make_dataset(seen, given.score)
        print(f"{dataset.name}: {len(dataset)} pictures, {len(seen.runs)} runs")
        session = open_app(dataset, given.port, browser=not given.no_browser)
        print(f"http://{ADDRESS}:{given.port}/datasets/{dataset.name} (Ctrl+C ends it)", flush=True)
        session.wait(-1)
    except TlxError as error:
        print(f"tlx.inspect: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
