"""The Jetson tool as a bare board runs it: `PYTHON helpers_old_python.py FOLDER`.

Written for Python 3.6 with numpy alone (Pillow if it is there). Builds and runs a stand-in of
TensorRT 8.2, reads a board's lines, and prints what it found as JSON.
"""

import json
import os
import sys

import numpy as np

from tests.jetson.helpers_jetson import load_tool, write_onnx
from tests.jetson.helpers_tensorrt import HostCuda, install


def main(folder: str) -> None:
    jb = load_tool()
    install("8.2.1.8")
    stored = json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3})
    model = write_onnx(os.path.join(folder, "m.onnx"), metadata=[("tlx", stored)])
    output = os.path.join(folder, "result.json")
    arguments = [model, "--output", output, "--warmup", "1", "--iterations", "20"]
    arguments += ["--seconds", "0", "--interval", "0.1"]
    pictures = os.path.join(folder, "pictures")
    if os.path.isdir(pictures):
        found = os.path.join(folder, "found.json")
        arguments += ["--images", pictures, "--detections", found, "--threshold", "0.4"]
    code = jb.main(arguments, open_cuda=HostCuda, board=jb.Board(os.path.join(folder, "board")))
    with open(output) as file:
        result = json.load(file)["runs"][0]
    line = "RAM 1/2MB GR3D_FREQ 63%@[621] gpu@53.3C VDD_IN 12479mW/12479mW"
    image = np.arange(60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    told = {
        "python": list(sys.version_info[:2]),
        "code": code,
        "check": jb.main([model, "--check"]),
        "api": result["engine"]["api"],
        "engine": result["engine"]["precision"],
        "line": jb.parse_tegrastats(line),
        "resized": int(jb.resize_antialiased(image, 24, 24).sum()),
        "nearest": int(jb.resize_nearest(image, 24, 24).sum()),
    }
    print("RESULT " + json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
