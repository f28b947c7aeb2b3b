"""An ONNX file to a kmodel of the K210; runs where nncase 1.9 is installed, without tlx.

Usage
  python kmodel.py MODEL.onnx CALIBRATION.npy OUTPUT.kmodel [MEAN STD]

CALIBRATION.npy: normalised pictures, float32 (n, 3, H, W). With MEAN and STD, three numbers each
("127,127,127") of pixels in 0..255: uint8 pictures, and the kmodel takes a camera's uint8 pixels
and normalises them itself. The kmodel is version 5, quantised to
uint8; MaixPy-v1's firmware loads versions 3 and 4, so a version 5 needs a runtime of nncase 1.9.
"""

import sys
from pathlib import Path


def main(model: str, calibration: str, output: str, mean: str = "", std: str = "") -> None:
    import nncase
    import numpy as np
    import onnx

    # nncase asks for the shape of every tensor in between.
    proto = onnx.shape_inference.infer_shapes(onnx.load(model))
    pixels = bool(mean)
    pictures = np.ascontiguousarray(np.load(calibration), np.uint8 if pixels else np.float32)
    options = nncase.CompileOptions()
    options.target = "k210"
    options.input_type = "uint8" if pixels else "float32"
    if pixels:
        options.preprocess = True
        options.input_layout = options.output_layout = "NCHW"
        options.input_shape = [1, *pictures.shape[1:]]
        options.input_range = [0, 255]
        options.mean = [float(value) for value in mean.split(",")]
        options.std = [float(value) for value in std.split(",")]
    options.quant_type = "uint8"
    compiler = nncase.Compiler(options)
    compiler.import_onnx(proto.SerializeToString(), nncase.ImportOptions())
    quantisation = nncase.PTQTensorOptions()
    quantisation.samples_count = len(pictures)
    quantisation.set_tensor_data(pictures.tobytes())
    compiler.use_ptq(quantisation)
    compiler.compile()
    try:
        Path(output).write_bytes(compiler.gencode_tobytes())
    except RuntimeError as error:
        if "out of memory" in str(error):
            sys.exit(
                "the network needs more memory than a K210 has: a smaller input, or a classifier"
            )
        raise
    print(f"{output}: {Path(output).stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
