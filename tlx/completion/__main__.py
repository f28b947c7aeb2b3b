"""tlx.completion: complete programs, keys and choices in a shell.

Usage
  python -m tlx.completion bash|zsh|fish

Prints the lines that a shell needs to complete the command `tlx` at Tab.

  bash    for ~/.bashrc:                    eval "$(tlx completion bash)"
  zsh     for ~/.zshrc, behind compinit:    eval "$(tlx completion zsh)"
  fish    for ~/.config/fish/config.fish:   tlx completion fish | source

Examples
  python -m tlx.completion bash
  python -m tlx.completion words "tlx train backbone="    # what Tab finds there

At every Tab the shell asks tlx, so that choices are those of the version that is installed.
"""

from __future__ import annotations

from tlx.common.cli import run_program
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_command
from tlx.completion.candidates import candidates
from tlx.completion.shells import SHELLS


def main(arguments: list[str]) -> None:
    """Entry point."""
    shell, *rest = arguments
    if shell == "words":
        print("\n".join(candidates(rest[0] if rest else "")))
    elif shell in SHELLS:
        print(SHELLS[shell])
    else:
        raise ConfigError(unknown_command(shell, SHELLS))


if __name__ == "__main__":
    run_program(main, __doc__)
