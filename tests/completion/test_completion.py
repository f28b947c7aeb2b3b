"""What Tab finds, and that real shells ask for it rightly."""

from __future__ import annotations

import importlib
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

import tlx.config.check as check
from tests.conftest import REPOSITORY
from tlx.common.programs import PROGRAMS
from tlx.completion.candidates import COMMAND_MODULES, candidates
from tlx.completion.composed_keys import composed_keys, conf_dir
from tlx.completion.help_keys import help_keys, keys_of
from tlx.completion.shells import SHELLS
from tlx.config.composition import _known_keys
from tlx.config.schema import Config
from tlx.starts.published import PUBLISHED

SSD = [name for name in PUBLISHED if name.startswith("s")]

MOBILENETS = [
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_large_reduced",
    "mobilenet_v3_small", "mobilenet_v4_conv_small",
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tlx tra", ["train"]),
        ("tlx train backbone=mobilenet_v", [f"backbone={name}" for name in MOBILENETS]),
        ("tlx train -m freeze=none,4,a", ["freeze=none,4,all"]),
        ("tlx train -m trainer.prec", ["trainer.precision="]),
        ("tlx train trainer.progress=", ["trainer.progress=true", "trainer.progress=false"]),
        ("tlx train --mu", ["--multirun"]),
        ("tlx train policy.lr", ["policy.lr_scale="]),
        ("tlx lr hi", ["highest="]),
        ("tlx lr trainer.pati", ["trainer.patience="]),
        ("tlx data ", ["check", "convert", "download", "split"]),
        ("tlx data check data=y", ["data=yolo"]),
        ("tlx data split data=y", ["data=yolo"]),
        ("tlx benchmark l", ["latency"]),
        ("tlx benchmark train polic", ["policies="]),
        ("tlx benchmark latency basel", ["baselines="]),
        ("tlx classify e", ["export", "experiment="]),
        ("tlx classify exp", ["export", "experiment="]),
        ("tlx classify policy=tw", ["policy=two_phase", "policy=two_phase_keras"]),
        ("tlx classify export op", ["opset="]),
        ("tlx report runs/x to_w", ["to_wandb="]),
        ("tlx evaluate checkpoint=x checkp", []),  # given already
        ("tlx predict track=", ["track=true", "track=false"]),
        ("tlx cache cl", ["clear"]),
        ("tlx models ef", ["efficientnet_lite0"]),
        ("tlx models resnet18 js", ["json="]),
        ("tlx weights ", ["list", "fetch"]),
        ("tlx weights list ", ["backbone=", "json="]),
        ("tlx weights list json=t", ["json=true"]),
        (
            "tlx weights fetch ssd_mobilenet_v1@",
            [f"ssd_mobilenet_v1@{data}" for data in ("coco", "voc", "widerface")],
        ),
        ("tlx train weights=s", ["weights=scratch", *(f"weights={name}" for name in SSD)]),
        ("tlx classify backbone.weights=mob", ["backbone.weights=mobilenet_v2@imagenet"]),
        ("tlx nonsense ", []),
        ("tlx", [*PROGRAMS, "--help", "--version"]),
    ],
)
def test_candidates(line: str, found: list[str]) -> None:
    assert candidates(line) == found


def test_composed_keys_are_those_that_are_taken() -> None:
    keys = composed_keys("train")
    assert conf_dir() == check.conf_dir()
    names = {key for key in _known_keys([Config]) if not key.endswith(".name")} - {"hydra"}
    assert set(keys) == names
    for key, choices in check._CHOICES.items():
        if not key.endswith(".name") and keys[key]:
            assert keys[key] == list(choices)
    selects = composed_keys("classify")["trainer.select_by"]
    assert selects == list(check._CLASSIFY_CHOICES["trainer.select_by"])


CONFIGURED = {
    "evaluate": "tlx.evaluate:EvaluateConfig",
    "predict": "tlx.predict:PredictConfig",
    "capture": "tlx.capture:CaptureConfig",
    "cache": "tlx.cache:CacheProgramConfig",
    "models": "tlx.models.__main__:ModelsConfig",
    "weights": "tlx.weights.__main__:WeightsConfig",
    "export": "tlx.export.__main__:ExportConfig",
    "classify.export": "tlx.classify.export:ExportConfig",
    "benchmark.train": "tlx.benchmark.config:TrainBenchmark",
    "benchmark.latency.program": "tlx.benchmark.latency.config:LatencyBenchmark",
}


@pytest.mark.parametrize("program", CONFIGURED)
def test_help_explains_every_key_and_which_are_yes_or_no(program: str) -> None:
    module, _, name = CONFIGURED[program].partition(":")
    schema = getattr(importlib.import_module(module), name)
    truths = {field.name: field.type in ("bool", bool) for field in fields(schema)}
    found = keys_of(f"tlx.{program}")
    assert found == {**truths, **{k: v for k, v in found.items() if k in ("list", "clear")}}
    assert set(COMMAND_MODULES) == set(PROGRAMS["benchmark"].commands)


def test_rows_of_a_help_text() -> None:
    text = "Usage\n  python -m x  y\n\n  a, b_c  two keys\n  RUNS    folders\n  d  true: yes\n"
    assert help_keys(text) == {"a": False, "b_c": False, "d": True}


def test_tab_needs_no_torch() -> None:
    code = (
        "import sys; from tlx.completion.candidates import candidates\n"
        "assert candidates('tlx train backbone=e') == ['backbone=efficientnet_lite0']\n"
        "assert candidates('tlx evaluate spl') == ['split=']\n"
        "assert not {'torch', 'hydra', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A folder on the PATH with the command `tlx`, as an installation has it."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "tlx"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.append({str(REPOSITORY)!r})\n"
        "from tlx.__main__ import script\nscript()\n"
    )
    script.chmod(0o755)
    # No files of the person's: their prompt and their completion are not tested.
    return {
        "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY), "TERM": "xterm",
        "HOME": str(folder), "INPUTRC": "/dev/null", "XDG_CONFIG_HOME": str(folder),
    }  # fmt: skip


START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": 'eval "$(tlx completion bash)"; PS1="> "',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(tlx completion zsh)"; PS1="> "',
}


def type_and_expect(
    shell: str, keys: str, shown: str, environment: Mapping[str, str], cwd: Path
) -> None:
    """Type these keys in an interactive shell, and wait until its line shows this."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(START[shell][0], START[shell], environment)
    seen = ""

    def wait_for(pattern: str) -> None:
        nonlocal seen
        end = time.monotonic() + 15
        while not (match := re.search(pattern, seen)):
            assert time.monotonic() < end, f"{shell} showed {seen!r}"
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")
        seen = seen[match.end() :]

    try:
        os.write(terminal, f"{SETUP[shell]}; echo rea''dy\n".encode())
        wait_for("ready")
        os.write(terminal, keys.encode())
        wait_for(re.escape(shown))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_person_presses_tab(shell: str, environment: Mapping[str, str], tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    keys, shown = "tlx train backbone=eff\t", "backbone=efficientnet_lite0"
    type_and_expect(shell, keys, shown, environment, tmp_path)


def test_bash_replaces_what_stands_behind_the_equals_sign(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    def completed(line: str, *words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        code = (
            f"{SHELLS['bash']}\nCOMP_LINE='{line}' COMP_POINT={len(line)}\n"
            f"COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}\n_tlx\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", code], env=environment, cwd=tmp_path,
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout.split()

    assert completed("tlx rep", "tlx", "rep") == ["report"]
    assert completed("tlx train data=y", "tlx", "train", "data", "=", "y") == ["yolo"]
    assert completed("tlx data check data=", "tlx", "data", "check", "data", "=")[0] == "auto"
    line = "tlx train weights=ssd_mobilenet_v1@v"
    assert completed(line, "tlx", "train", "weights", "=", "ssd_mobilenet_v1", "@", "v") == ["voc"]
    assert completed("tlx report runs/x to_w", "tlx", "report", "runs/x", "to_w") == ["to_wandb="]


def test_fish_shows_the_same(environment: Mapping[str, str], tmp_path: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    code = "tlx completion fish | source; complete -C 'tlx train backbone=eff'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], env=environment, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "backbone=efficientnet_lite0" in done.stdout.split(), done.stderr


def test_what_is_no_shell_is_refused(environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["tlx", "completion", "bas"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "did you mean bash?" in done.stderr
