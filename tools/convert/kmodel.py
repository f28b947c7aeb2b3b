"""An ONNX file to a kmodel of the K210; runs where nncase 1.9 is installed, without tlx.

Usage
  python kmodel.py MODEL.onnx CALIBRATION.npy OUTPUT.kmodel

CALIBRATION.npy: normalised pictures, float32 (n, 3, H, W). The kmodel is version 5, quantised to
uint8; MaixPy-v1's firmware loads versions 3 and 4, so a version 5 needs a runtime of nncase 1.9.
"""

import sys
from pathlib import Path


def main(model: str, calibration: str, output: str) -> None:
    import nncase
    import numpy as np
    import onnx

    # nncase asks for the shape of every tensor in between.
    proto = onnx.shape_inference.infer_shapes(onnx.load(model))
    pictures = np.ascontiguousarray(np.load(calibration), dtype=np.float32)
    options = nncase.CompileOptions()
    options.target = "k210"
    options.input_type = "float32"
    options.quant_type = "uint8"
    compiler = nncase.Compiler(options)
    compiler.import_onnx(proto.SerializeToString(), nncase.ImportOptions())
    quantisation = nncase.PTQTensorOptions()
    quantisation.samples_count = len(pictures)
    quantisation.set_tensor_data(pictures.tobytes())
    compiler.use_ptq(quantisation)
    compiler.compile()
    Path(output).write_bytes(compiler.gencode_tobytes())
    print(f"{output}: {Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
