"""`tlx NAME …` is `python -m tlx.NAME …`, and every program explains itself in one shape."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tlx.common.files import read_yaml
from tlx.common.programs import PROGRAMS, module_of
from tlx.config.check import conf_dir
from tlx.inspect.__main__ import parser as inspect_parser
from tlx.report.__main__ import parser as report_parser

COMPOSED = {
    "tlx.train": "task/detect",
    "tlx.classify": "task/classify",
}  # by Hydra; their help is YAML
# As the installed script begins: with its own folder first in the path.
SCRIPT = "import sys; sys.argv[0] = 'tlx'; from tlx.__main__ import script; script()"


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


def modules() -> list[str]:
    """Modules of all programs, those behind another one's name too."""
    found = [module_of([name])[0] for name in PROGRAMS]
    return found + [
        module_of([name, word])[0] for name, about in PROGRAMS.items() for word in about.programs
    ]


def test_every_program_of_the_package_has_its_name_at_the_door() -> None:
    found = set()
    for path in (REPOSITORY / "tlx").rglob("*.py"):
        if '\nif __name__ == "__main__":' in path.read_text("utf-8"):
            name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
            found.add(name.removesuffix(".__main__"))
    assert found - {"tlx"} == set(modules())


def test_the_list_loads_no_program() -> None:
    code = (
        "import sys; sys.argv = ['tlx', '--help']\n"
        "from tlx.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'hydra', 'omegaconf', 'numpy'} & set(sys.modules)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    for name, program in PROGRAMS.items():
        assert re.search(rf"^  {name} +{re.escape(program.about)}$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Programs"),
        (["--version"], 0, "tlx 0."),
        (["trian"], 2, "'trian' is not a command: did you mean train?"),
    ],
)
def test_what_the_door_itself_says(arguments: list[str], code: int, said: str) -> None:
    done = run("-m", "tlx", *arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


PROBE = """
import json, multiprocessing.spawn, sys
main = sys.modules["__main__"]
print(json.dumps([sys.argv[1:], sys.argv[0] == __file__, main.__spec__.name, sys.path[-1],
                  "" in sys.path,
                  multiprocessing.spawn.get_preparation_data("x")["init_main_from_name"]]))
sys.exit(7)
"""
COMPOSED_PROBE = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    print("job", dict(cfg), hydra.core.hydra_config.HydraConfig.get().job.name)
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def behind(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of this text as `tlx probe …`, in a folder with another `probe.py`."""
    package, here = tmp_path / "package", tmp_path / "here"
    package.mkdir()
    here.mkdir()
    (here / "probe.py").write_text("raise SystemExit('what lies where one stands')")

    def start(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (package / "probe.py").write_text(text)
        code = (
            "import tlx, tlx.common.programs as p\n"
            f"tlx.__path__.append({str(package)!r})\n"
            "p.PROGRAMS['probe'] = p.Program('')\n" + SCRIPT
        )
        return run("-c", code, "probe", *arguments, cwd=here)

    return start


def test_a_program_behind_the_door_is_as_with_m(
    behind: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = behind(PROBE, "-m", "a=1,2")
    assert done.returncode == 7, done.stderr
    here = str(tmp_path / "here")
    seen = [["-m", "a=1,2"], True, "tlx.probe", here, False, "tlx.probe"]
    assert json.loads(done.stdout) == seen


def test_hydra_sweeps_behind_the_door(
    behind: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = behind(COMPOSED_PROBE, "-m", "+a=1,2")
    assert done.returncode == 0, done.stderr
    jobs = [line for line in done.stdout.splitlines() if line.startswith("job")]
    assert jobs == ["job {'a': 1} probe", "job {'a': 2} probe"]
    failed = behind(COMPOSED_PROBE, "a=1")
    assert failed.returncode == 1
    assert "Could not override 'a'" in failed.stderr


def test_words_behind_a_program() -> None:
    assert module_of(["classify", "export", "a=b"]) == ("tlx.classify.export", ["a=b"])
    assert module_of(["classify", "freeze=4"]) == ("tlx.classify", ["freeze=4"])
    assert module_of(["data", "check"]) == ("tlx.data", ["check"])


def help_of(module: str) -> str:
    if module in COMPOSED:
        told = read_yaml(conf_dir() / f"{COMPOSED[module]}.yaml")["hydra"]["help"]
        return told["template"].replace("${hydra.help.header}", told["header"])
    try:
        program = importlib.import_module(f"{module}.__main__")
    except ModuleNotFoundError:
        program = importlib.import_module(module)
    return program.__doc__ or ""


COMMANDS = ["tlx.benchmark.train", "tlx.benchmark.latency.program"]


@pytest.mark.parametrize("module", [*modules(), *COMMANDS])
def test_help_has_one_shape(module: str) -> None:
    text = help_of(module)
    name = module.removesuffix(".program")
    if module in COMMANDS:
        name = " ".join(name.rsplit(".", 1))
    assert re.match(rf"{re.escape(name)}: [a-z].*\.\n\nUsage\n  python -m {name}", text), text[:200]
    if module not in ("tlx.train", "tlx.classify"):  # composed: keys follow from the schema
        assert re.search(r"^  \S.*  +\S", text, re.MULTILINE)
    examples = re.search(r"^Examples\n((?:  .*\n)+)", text, re.MULTILINE)
    assert examples
    assert all(line.startswith(f"  python -m {name}") for line in examples[1].splitlines())
    assert all(len(line) <= 110 for line in text.splitlines())


@pytest.mark.parametrize("parser", [report_parser(), inspect_parser()], ids=["report", "inspect"])
def test_options_are_explained_as_keys(parser: object) -> None:
    for option in parser._option_string_actions:  # type: ignore[attr-defined]
        if option not in ("-h", "--help"):
            key = option[2:].replace("-", "_")
            assert re.search(rf"^  {key}  +\S", parser.text, re.MULTILINE), key  # type: ignore[attr-defined]


def test_keys_and_options_mean_the_same(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    parser = report_parser()
    options = ["--output", "o", "--to-wandb", "--map-level", "0.5"]
    keys = ["output=o", "to_wandb=true", "map_level=0.5"]
    assert parser.parse_args(["r", *options]) == parser.parse_args(["r", *keys])
    assert parser.parse_args(["r", "to_wandb=false"]).to_wandb is False
    # A run's folder is called by its keys: it stays a folder.
    assert parser.parse_args(["freeze=4-seed=0-1a2b3c"]).runs == [Path("freeze=4-seed=0-1a2b3c")]
    for wrong, said in [
        ("outptu=o", "outptu is not a key: did you mean output=o?"),
        ("output=", "output= is empty"),
        ("to_wandb=perhaps", "to_wandb=perhaps must be true or false"),
        ("map_level=high", "invalid float value: 'high'"),
    ]:
        with pytest.raises(SystemExit) as end:
            parser.parse_args(["r", wrong])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
