"""A kmodel on pictures, in nncase's simulator of the K210; runs where nncase 1.9 is installed.

Usage
  python run_kmodel.py MODEL.kmodel INPUTS.npy OUTPUT.npy

INPUTS.npy: (n, ...), of the type that the kmodel takes. OUTPUT.npy gets its first output, (n, ...).
"""

import sys


def main(model: str, inputs: str, output: str) -> None:
    import nncase
    import numpy as np

    simulator = nncase.Simulator()
    with open(model, "rb") as file:
        simulator.load_model(file.read())
    rows = []
    for one in np.load(inputs):
        tensor = nncase.RuntimeTensor.from_numpy(np.ascontiguousarray(one[None]))
        simulator.set_input_tensor(0, tensor)
        simulator.run()
        rows.append(simulator.get_output_tensor(0).to_numpy())
    np.save(output, np.concatenate(rows))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
