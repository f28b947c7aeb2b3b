"""Places that cannot be written, and disks that are full: one line, exit code 2, nothing lost.

Unwritable is /proc, where no user may create a file; full is a limit on the size of files, which a
write beyond it meets as it would meet the end of a disk.
"""

from __future__ import annotations

import contextlib
import errno
import io
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tlx.benchmark.__main__
import tlx.cache
import tlx.capture
import tlx.classify.export
import tlx.data.__main__
import tlx.evaluate
import tlx.export.__main__
import tlx.predict
import tlx.report.__main__
import tlx.train
from tests.classify.helpers_classify import write_checkpoint as write_classifier
from tests.classify.helpers_classify import write_set as write_folders
from tests.data.helpers_mutations import argv
from tests.report.helpers_illustrated import ARMS, write_study
from tests.study.helpers_trained import exported, trained
from tlx.common.cli import run_program
from tlx.common.errors import StorageError, remedy

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="no /proc: only Linux has a folder that refuses all"
)
FULL = 60  # bytes of a file: less than any output has


def run(program: Callable[[], object]) -> tuple[object, str]:
    """A program's exit code, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = program()
        except SystemExit as end:
            code = end.code
    return code, said.getvalue()


def plain(main: Callable[[list[str]], None], *arguments: object) -> Callable[[], object]:
    """A program with arguments KEY=VALUE."""

    def start() -> None:
        with argv([str(argument) for argument in arguments]):
            run_program(main, "help")

    return start


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Python ignores SIGXFSZ, so that a write fails with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _train(out: Path, inside: Path) -> Callable[[], object]:
    def start() -> None:
        set_ = trained() / "set"
        with argv(["data=voc", f"data.root={set_}", "logger=none", "trainer.epochs=1",
                   f"hydra.run.dir={out / 'run'}", f"cache_dir={inside / 'cache'}"]):  # fmt: skip
            tlx.train.main()

    return start


def _classify(out: Path, inside: Path) -> Callable[[], object]:
    write_folders(inside / "set", {"train": 2, "val": 1, "test": 1})
    write_classifier(inside / "best.ckpt", inside / "set")
    return plain(
        tlx.classify.export.main, f"checkpoint={inside / 'best.ckpt'}", f"output={out / 'onnx'}",
        f"root={inside / 'set'}", f"cache_dir={trained() / 'cache'}",
    )  # fmt: skip


def _report(out: Path, inside: Path) -> Callable[[], object]:
    study = write_study(inside, arms=[*ARMS][1:3], seeds=(0, 1))
    return lambda: tlx.report.__main__.main([str(study), "--output", str(out / "report")])


def _capture(out: Path, inside: Path) -> Callable[[], object]:
    return plain(
        tlx.capture.main, f"source={trained() / 'set' / 'test' / '000.png'}",
        f"output={out / 'set'}", "every=1", "labels=red",
    )  # fmt: skip


def _predict(name: str) -> Callable[[Path, Path], Callable[[], object]]:
    return lambda out, inside: plain(
        tlx.predict.main, f"model={exported() / 'ssd-efficientnet_lite0.onnx'}",
        f"source={trained() / 'set' / 'test' / '000.png'}", f"output={out / name}", "threshold=0",
    )  # fmt: skip


PROGRAMS: dict[str, Callable[[Path, Path], Callable[[], object]]] = {
    "train": _train,
    "evaluate": lambda out, inside: plain(
        tlx.evaluate.main, f"checkpoint={trained() / 'finished'}", f"output={out / 'f.json'}",
        f"cache_dir={trained() / 'cache'}",
    ),
    "evaluate's cache": lambda out, inside: plain(
        tlx.evaluate.main, f"checkpoint={trained() / 'finished'}", f"cache_dir={out / 'cache'}"
    ),
    "predict, folder": _predict("found"),
    "predict, JSON": _predict("found.json"),
    "predict, lines": _predict("found.jsonl"),
    "predict, picture": _predict("found.png"),
    "export": lambda out, inside: plain(
        tlx.export.__main__.main, f"checkpoint={trained() / 'finished'}", "format=onnx",
        f"output={out / 'onnx'}", f"cache_dir={trained() / 'cache'}",
    ),
    "report": _report,
    "check": lambda out, inside: plain(
        tlx.data.__main__.main, "check", "data=voc", f"data.root={trained() / 'set'}",
        f"output={out}",
    ),
    "classify.export": _classify,
    "capture": _capture,
    "benchmark": lambda out, inside: plain(
        tlx.benchmark.__main__.main, f"model={trained() / 'finished'}", f"output={out / 'l'}",
        "rounds=1", "warmup=0", "pictures=1", "baselines=false", "backend=torch",
        f"cache_dir={trained() / 'cache'}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_place_that_cannot_be_written_is_one_line(name: str, tmp_path: Path) -> None:
    out = Path("/proc/self") if name in ("check",) else Path("/proc/self/nowhere")
    code, said = run(PROGRAMS[name](out, tmp_path))
    assert code == 2, said
    assert "/proc/self" in said
    assert "Traceback" not in said
    assert "free space" not in said


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_file_in_the_way_is_named(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("of another program")
    (tmp_path / "in").mkdir()
    code, said = run(PROGRAMS[name](out, tmp_path / "in"))
    assert code == 2, said
    assert str(out) in said
    assert "Traceback" not in said
    assert "Errno" not in said
    assert "free space" not in said
    assert out.read_text() == "of another program"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.ENOTDIR, "in the way"),
        (errno.EISDIR, "in the way"),
        (errno.EROFS, "the right to write"),
        (errno.EIO, "give another place"),
    ],
)
def test_the_remedy_is_that_of_the_fault(number: int, words: str) -> None:
    said = remedy(OSError(number, "of the system", "place"))
    assert words in said
    assert ("free space" in said) is (words == "free space")


def test_what_an_evaluation_cannot_write_is_found_before_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder"):
        tlx.evaluate.evaluate(tlx.evaluate.EvaluateConfig(checkpoint="none", output=str(tmp_path)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_full_disk_is_one_line_and_leaves_no_half_file(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "in").mkdir()
    program = PROGRAMS[name](out, tmp_path / "in")
    with full_disk():
        code, said = run(program)
    assert code == 2, said
    assert "Traceback" not in said
    assert not [path for path in out.rglob("*.partial") if path.is_file()]
