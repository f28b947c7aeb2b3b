"""Ask the other process, and say of which question it died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

LIMIT_S = 180.0  # for all questions: torch and its like take seconds from a cold disk
# The path is that of this process: the other one finds the same tlx.
CODE = "import sys; sys.path[:] = {path!r}; from tlx.doctor.ask import main; main()"
Question = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A value, or why there is none."""

    value: Any = None
    error: str | None = None


def ask(questions: list[Question], limit_s: float = LIMIT_S) -> dict[Question, Answer]:
    """An answer to every question; the process is started again behind one that ended it."""
    answers: dict[Question, Answer] = {}
    while left := [question for question in questions if question not in answers]:
        begun, end = _round(left, answers, limit_s)
        if unanswered := [question for question in left if question not in answers]:
            # Without a first question it does not even start, and no other one will.
            for question in [begun] if begun in unanswered else unanswered:
                answers[question] = Answer(error=end)
    return answers


def _round(
    questions: list[Question], answers: dict[Question, Answer], limit_s: float
) -> tuple[Any, str]:
    """Fill in what one process answers; the question that it was at, and how it ended."""
    texts = [json.dumps(question) for question in questions]
    command = [sys.executable, "-c", CODE.format(path=sys.path), *texts]
    environment = {**os.environ, "PYTHONFAULTHANDLER": "", "WANDB_SILENT": "true"}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=limit_s, check=False, env=environment
        )
        out, code = done.stdout, _ending(done.returncode, done.stderr)
    except subprocess.TimeoutExpired as error:
        out, code = error.stdout or b"", f"no answer within {limit_s:g} s"
    except OSError as error:
        return None, f"Python cannot be started: {error}"
    begun = None
    for line in out.decode("utf-8", "replace").splitlines():
        try:
            message = json.loads(line)
        except ValueError:  # the last line of a process that was ended
            continue
        if "begin" in message:
            begun = tuple(json.loads(message["begin"]))
        else:
            question = tuple(json.loads(message["of"]))
            answers[question] = Answer(message.get("value"), message.get("error"))
    return begun, code


def _ending(code: int, errors: bytes) -> str:
    if code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"ended with exit code {code}" + (f": {last[0]}" if last else "")
