"""Programs in processes of their own that need not import torch anew.

`python -m tlx.NAME` spends about four seconds of CPU on imports, and the suite starts some seventy
of them. Here a server imports the libraries that they have in common, does nothing else, and is
forked for each: the program, with all that is the package's own, is then loaded and run as
`__main__` with arguments, folder, environment and streams of its own, and ends as an interpreter
ends. What starts as a user starts it: the commands that a run prints (test_closing.py), the
wheel's (test_wheel.py), and processes that are killed (test_resume.py, test_live_programs.py).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
# What takes seconds to import. The package itself is imported by every program anew.
WARMED = (
    "torch", "torchvision", "pytorch_lightning", "timm", "torchmetrics.detection", "hydra",
    "scipy.stats", "matplotlib.figure", "matplotlib.backends.backend_agg", "wandb", "rich.console",
    "faster_coco_eval", "PIL.Image", "jinja2",
)  # fmt: skip
CAN_FORK = sys.platform == "linux"  # elsewhere libraries forbid it, and processes start anew
_LENGTH = 8  # bytes of the number in front of a message


def run_program(
    module: str,
    *arguments: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ARGUMENT …` with its exit code, -N where signal N ended it, and texts.

    Args:
        env: the environment; OMP_NUM_THREADS is 1 whatever it says, for torch is loaded already.
    """
    words = [module, *map(str, arguments)]
    command = [sys.executable, "-m", *words]
    environment = os.environ if env is None else env
    if not CAN_FORK:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=cwd, timeout=timeout,
            env={"PYTHONPATH": str(REPOSITORY)} | {**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    ask = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(environment)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _server().run(ask, out.fileno(), err.fileno(), timeout)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess(command, code, *texts)


class _Server:
    """The warm process, one a test process, started when it is first needed."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.helpers_process", str(theirs.fileno())],
                cwd=REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
            theirs.close()
            ready = self.control.recv(1)
            said.seek(0)
            printed = said.read().decode()
        assert (ready, printed) == (b"+", ""), f"imports have printed:\n{printed}"

    def run(self, ask: dict[str, Any], out: int, err: int, timeout: float) -> int:
        """Have a program forked and wait for its end."""
        ours, theirs = socket.socketpair()
        content = json.dumps(ask).encode()
        with ours:
            with theirs:
                socket.send_fds(
                    self.control, [len(content).to_bytes(_LENGTH, "big")],
                    [out, err, theirs.fileno()],
                )  # fmt: skip
            self.control.sendall(content)
            ours.settimeout(timeout)
            with ours.makefile("r") as told:
                pid = int(told.readline())
                try:
                    return os.waitstatus_to_exitcode(int(told.readline()))
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(ask["words"], timeout) from None

    def close(self) -> None:
        self.control.close()
        self.process.wait()


_servers: dict[int, _Server] = {}


def _server() -> _Server:
    if os.getpid() not in _servers:
        _servers[os.getpid()] = _Server()
        atexit.register(_servers[os.getpid()].close)
    return _servers[os.getpid()]


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Answer until nobody asks any more. In the process of a program: what it was asked."""
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # those that wait for a program are not waited for
    control.sendall(b"+")
    while True:
        head, fds, _, _ = socket.recv_fds(control, _LENGTH, 3)
        if not head:
            return None
        content = b""
        while len(content) < int.from_bytes(head, "big"):
            content += control.recv(2**16)
        if os.fork():
            for fd in fds:
                os.close(fd)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        pid = os.fork()
        if not pid:
            os.dup2(fds[0], 1)
            os.dup2(fds[1], 2)
            for fd in fds:
                os.close(fd)
            return dict(json.loads(content))
        with contextlib.suppress(BrokenPipeError):  # it took too long
            os.write(fds[2], b"%d\n" % pid)
            os.write(fds[2], b"%d\n" % os.waitpid(pid, 0)[1])
        os._exit(0)


def _main() -> None:
    for name in WARMED:
        importlib.import_module(name)
    gc.freeze()  # what is never freed need not be copied to be looked at
    with socket.socket(fileno=int(sys.argv[1])) as control:
        ask = _serve(control)
    if ask is None:
        return
    os.chdir(ask["cwd"])
    os.environ.clear()
    os.environ.update(ask["env"])
    sys.path.insert(0, ask["cwd"])
    sys.argv = [ask["words"][0], *ask["words"][1:]]
    importlib.import_module("numpy").random.seed()  # else every program would draw the same
    try:
        runpy.run_module(ask["words"][0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    # All that an interpreter does at its end but for freeing what torch is: two seconds.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
