"""Programs of PyTorch that would write a file as they are loaded, and programs that are trusted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compose
from tests.export.helpers_deploy import save_tiny_checkpoint
from tests.export.helpers_export import save_pictures, written
from tests.test_programs import program
from tlx.benchmark.latency.config import LatencyBenchmark
from tlx.benchmark.latency.program import benchmark
from tlx.common.errors import ConfigError
from tlx.evaluate import EvaluateConfig, evaluate
from tlx.predict import PredictConfig, predict
from tlx.runtime import open_model, trust


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


class Writer(nn.Module):
    """As TorchScript it makes a file when its state is set."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save([0], self.path)


@pytest.fixture
def no_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a later process, which wrote none of the files."""
    monkeypatch.setattr(trust, "_written", set())


def crafted(ending: str, folder: Path, target: Path) -> Path:
    """An export whose loading writes `target`, with the description that belongs to it."""
    format = "pt2" if ending == ".pt2" else "torchscript"
    save_tiny_checkpoint(folder / "best.ckpt", {})
    good = written(folder / "best.ckpt", format, folder / "good").path
    path = folder / f"model{ending}"
    about = json.loads((good.parent / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"artefact": path.name}))
    if format == "torchscript":
        torch.jit.save(torch.jit.script(Writer(str(target))), path)
        target.unlink(missing_ok=True)
        return path
    spoilt = io.BytesIO()
    torch.save(Payload(target), spoilt)
    with zipfile.ZipFile(good) as given, zipfile.ZipFile(path, "w") as made:
        for entry in given.infolist():
            inputs = "sample_inputs" in entry.filename
            made.writestr(entry, spoilt.getvalue() if inputs else given.read(entry))
    return path


def by_evaluate(path: Path, trusted: bool) -> None:
    evaluate(EvaluateConfig(model=str(path), trust=trusted))


def by_predict(path: Path, trusted: bool) -> None:
    save_pictures(path.parent / "pictures")
    source = str(path.parent / "pictures")
    predict(PredictConfig(str(path), source=source, output="none", trust=trusted))


def by_benchmark(path: Path, trusted: bool) -> None:
    benchmark(LatencyBenchmark(str(path), "torch", trust=trusted))


@pytest.mark.parametrize("ending", [".pt2", ".torchscript", ".pt", ".PT2"])
@pytest.mark.parametrize("load", [by_evaluate, by_predict, by_benchmark])
def test_a_program_is_not_loaded_unasked(
    ending: str, load: Callable[[Path, bool], None], no_own: None, tmp_path: Path
) -> None:
    if ending == ".PT2":  # on systems that tell no case apart it is the same
        path = crafted(".pt2", tmp_path, tmp_path / "target").rename(tmp_path / "model.PT2")
    else:
        path = crafted(ending, tmp_path, tmp_path / "target")
    with pytest.raises(ConfigError, match=r"can run code .* add trust=true; else use the check"):
        load(path, False)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("ending", [".pt2", ".torchscript"])
def test_the_crafted_programs_do_write(ending: str, no_own: None, tmp_path: Path) -> None:
    """What is refused above is no empty threat."""
    path = crafted(ending, tmp_path, tmp_path / "target")
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever torch makes of it afterwards
        by_predict(path, True)
    assert (tmp_path / "target").exists()


@pytest.mark.parametrize("format", ["pt2", "torchscript"])
def test_what_this_process_wrote_is_trusted_by_content(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_checkpoint(tmp_path / "best.ckpt", {})
    path = written(tmp_path / "best.ckpt", format, tmp_path / "out").path
    open_model(path).close()
    monkeypatch.setattr(trust, "_written", set())
    with pytest.raises(ConfigError, match=f"{path.name} is a .* program"):
        open_model(path)
    open_model(path, trust=True).close()


def test_an_export_proves_itself_and_its_commands_run(
    tmp_path: Path, tiny_config: Compose, sample_cache: Path
) -> None:
    save_tiny_checkpoint(tmp_path / "best.ckpt", tiny_config())
    save_pictures(tmp_path / "pictures")
    done = program("export", f"checkpoint={tmp_path / 'best.ckpt'}", "format=torchscript",
                   "output=out", f"cache_dir={sample_cache}", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (text for text in (tmp_path / "out" / "commands.md").read_text().splitlines()
               if "tlx.predict" in text)  # fmt: skip
    arguments = line.removeprefix("python -m tlx.predict ").replace("pictures/", "../pictures")
    done = program("predict", *arguments.split(), cwd=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    without = [a for a in arguments.split() if a != "trust=true"]
    done = program("predict", *without, cwd=tmp_path / "out")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "add trust=true" in done.stderr
