"""What the doctor finds, whatever is missing or broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tlx.doctor.__main__ as program
from tests.conftest import REPOSITORY
from tlx.doctor import answers, ask, outside, requirements
from tlx.doctor.asking import Answer, Question
from tlx.doctor.asking import ask as ask_another
from tlx.doctor.findings import Section, Todo, as_dict, as_text
from tlx.doctor.machine import machine
from tlx.doctor.requirements import Wanted, extra_packages, required_packages, wanted


def answered_here(questions: list[Question]) -> dict[Question, Answer]:
    """In this process, where the packages are loaded already; nothing is imported."""
    return {
        question: Answer() if question[0] == "import"
        else Answer(json.loads(json.dumps(ask.TOPICS[question[0]](*question[1:]))))
        for question in questions
    }  # fmt: skip


def test_a_sound_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(program, "ask", answered_here)
    monkeypatch.delenv("TLX_TFLITE_ENV", raising=False)
    monkeypatch.delenv("TLX_KMODEL_ENV", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "images" / "one").mkdir(parents=True)
    (tmp_path / "images" / "one" / "a").write_bytes(b"x" * 1000)
    given = ["json=true", f"cache_dir={tmp_path}", f"runs_dir={tmp_path / 'runs'}"]
    assert program.main(given) == 0
    found = json.loads(capsys.readouterr().out)
    assert not [todo for todo in found["todo"] if todo["required"]]
    assert found["machine"]["executable"] == sys.executable
    assert found["machine"]["folders"]["runs_dir"]["writable"] is True
    assert found["packages"]["torch"]["within"] is True
    assert found["extras"]["test"]["complete"] is True
    assert found["devices"]["torch"] == __import__("torch").__version__
    # Its weights are an installed package's.
    assert Path(found["weights"]["efficientnet_lite0"]["file"]).is_file()
    assert found["caches"]["images"] == {"count": 1, "bytes": 1000}
    assert found["wandb"] == {"logged_in": False, "mode": "offline", "WANDB_MODE": "offline"}
    assert program.main(given[1:]) == 0
    told = capsys.readouterr().out
    for section in ("Machine", "Required packages", "Extras", "Devices", "Weights", "TensorRT"):
        assert f"\n{section}" in f"\n{told}"


def test_with_pythons_own_library_alone(tmp_path: Path) -> None:
    """`-S` leaves the installed packages out, as in a fresh environment without any."""
    code = (
        f"import sys; sys.path.append({str(REPOSITORY)!r})\n"
        "from tlx.doctor.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    command = [sys.executable, "-I", "-S", "-c", code, "json=true", f"cache_dir={tmp_path}"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["todo"][0]["required"]
    assert "packaging is not installed" in found["todo"][0]["what"]
    assert "No module named 'torch'" in found["devices"]["error"]


def test_lines_of_pyproject_are_those_of_the_package() -> None:
    lines = wanted()
    names = {line.name for line in lines if not line.extra}
    assert {"torch", "packaging", "pyyaml"} <= names
    assert {line.extra for line in lines} >= {"", "viz", "edge", "live", "tensorrt"}
    for line in lines:
        if not line.extra:  # a name that is none would be reported as broken for ever
            assert __import__("importlib.util").util.find_spec(line.module), line


def test_packages_missing_outside_of_their_bounds_and_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = {"fine": "2.1", "old": "1.0", "broken": "3.0", "pre": "2.0rc1", "odd": "what"}
    monkeypatch.setattr(requirements, "installed", versions.get)
    lines = [Wanted(name, ">=1.5" if name != "pre" else ">=2.0b1", "") for name in versions]
    failures = {"broken": "OSError: libfoo.so.1: cannot open shared object file"}
    section = required_packages([*lines, Wanted("gone", ">=1", "")], failures)
    told = dict(section.rows)
    assert told["old"] == "1.0 is not >=1.5"
    assert told["odd"] == "what is not >=1.5"
    assert told["gone"] == "missing, >=1 is asked for"
    assert told["broken"].startswith("3.0 is broken: OSError: libfoo")
    assert told["fine"] == "fine 2.1, pre 2.0rc1"
    assert all(todo.required for todo in section.todo)
    assert [todo.what for todo in section.todo] == [
        "pip install 'old>=1.5' 'odd>=1.5' 'gone>=1'",
        f"pip install --force-reinstall --no-deps broken==3.0 ({failures['broken']})",
    ]


def test_extras_in_whole_in_part_and_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "installed", {"a": "1", "b": "1"}.get)
    lines = [
        Wanted("a", "", "whole"), Wanted("a", "", "part"), Wanted("c", "", "part"),
        Wanted("c", "", "none"), Wanted("b", ">=2", "other"),
    ]  # fmt: skip
    section = extra_packages(lines)
    told = dict(section.rows)
    assert told["whole"] == "complete"
    assert told["part"].startswith("no c: pip install")
    assert told["none"].startswith("absent: pip install")
    assert told["other"].startswith("b 1 is not >=2: pip install")
    # What nobody asked for is nothing to do; what is wrong is.
    assert [todo.required for todo in section.todo] == [False]


PACKAGES = {
    "sound": "",
    "raises": "raise RuntimeError('built for another\\nnumpy')",
    "leaves": "import sys; sys.exit(3)",
    "dies": "import os; os.abort()",
    "quits": "import os, sys; sys.stderr.write('no licence\\n'); sys.stderr.flush(); os._exit(4)",
    "greets": "import os; os.write(1, b'hello')",
}


def test_a_package_that_breaks_its_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in PACKAGES.items():
        (tmp_path / f"doctored_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = list(PACKAGES)
    questions: list[Question] = [("import", f"doctored_{name}") for name in names]
    questions += [("import", "doctored_none"), ("nothing",)]
    found = {
        key[-1].removeprefix("doctored_"): a.error for key, a in ask_another(questions).items()
    }
    assert found["sound"] is None
    assert found["greets"] is None
    assert found["raises"] == "RuntimeError: built for another"
    assert found["leaves"] == "SystemExit: 3"
    assert found["dies"] == "ended by SIGABRT"
    assert found["quits"] == "ended with exit code 4: no licence"
    assert "No module named 'doctored_none'" in str(found["none"])
    assert found["nothing"] == "KeyError: 'nothing'"


def test_a_package_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "doctored_hangs.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    questions: list[Question] = [("import", "json"), ("import", "doctored_hangs")]
    found = ask_another(questions, limit_s=1.5)
    assert found[questions[1]].error == "no answer within 1.5 s"


def test_no_python_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert "cannot be started" in str(ask_another([("devices",)])[("devices",)].error)


def test_folders_that_cannot_be_written_to(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    section = machine({"cache_dir": file / "below"})
    assert [todo.what for todo in section.todo] == [
        f"get the right to write in {file}, or give another cache_dir"
    ]
    assert not machine({"cache_dir": tmp_path / "new" / "folder"}).todo


def test_environments_of_converters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLX_TFLITE_ENV", str(tmp_path))
    monkeypatch.setenv("TLX_KMODEL_ENV", sys.executable)
    section = outside.outside()
    told = dict(section.rows)
    assert told["TLX_TFLITE_ENV"] == f"{tmp_path} holds no bin/python"
    assert told["TLX_KMODEL_ENV"] == f"{sys.executable} holds no nncase"
    assert len(section.todo) == 2


def test_cards_and_weights_are_told() -> None:
    card = {"name": "NVIDIA H100", "memory_bytes": 84e9, "capability": "9.0"}
    value: dict[str, Any] = {
        "torch": "2.14.1+cu130", "built_for_cuda": "13.0", "built_for_rocm": None, "cuda": [card],
        "mps": False, "cpu_bfloat16": True, "threads": 4,
    }  # fmt: skip
    assert ("cuda:0", "NVIDIA H100, 84.0 GB, capability 9.0") in answers.devices(Answer(value)).rows
    missing = {"file": None, "advice": ["pip install it"], "downloads": False}
    assert answers.weights(Answer({"x": missing})).todo == [Todo("weights of x: pip install it")]
    unknown = answers.weights(Answer(error="ended by SIGILL"))
    assert unknown.facts == {"error": "ended by SIGILL"}


def test_what_is_required_comes_first_and_once() -> None:
    first = Section("a", "A", [("x", "y")], {"x": 1}, [Todo("later"), Todo("later")])
    second = Section("b", "B", todo=[Todo("now", True)])
    assert as_text([first, second]).endswith("To do\n  1. now (required)\n  2. later")
    assert as_dict([first, second])["todo"][0] == {"what": "now", "required": True}
    assert as_text([Section("a", "A")]).endswith("\nAll is well.")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("jsn=true", "did you mean json=true?"),
        ("json=perhaps", "json=perhaps must be true or false"),
        ("cache_dir=", "cache_dir= is empty"),
        ("json", "'json' is not KEY=VALUE"),
    ],
)
def test_wrong_arguments(argument: str, said: str, capsys: pytest.CaptureFixture) -> None:
    assert program.main([argument]) == 2
    assert said in capsys.readouterr().err
