"""A torch.export program to TensorFlow Lite; runs where litert-torch is installed, without tlx.

Usage
  python tflite.py NETWORK.pt2 OUTPUT.tflite

The input stays [1, 3, S, S] and the outputs keep their order, so that callers need not know.
"""

import sys
from pathlib import Path


def main(program: str, output: str) -> None:
    import litert_torch
    import torch

    exported = torch.export.load(program)
    (example,), _ = exported.example_inputs
    litert_torch.convert(exported.module(), (example,)).export(output)
    print(f"{output}: {Path(output).stat().st_size} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
