"""What the Python packages of four versions of TensorRT have, for the stand-ins.

The names are those of the bindings' source (NVIDIA/TensorRT, python/src/infer/pyCore.cpp, with
pyInt8.cpp and parsers/pyOnnx.cpp) at 8.2, 8.5 and 10; for 11 those of 10 without what the
"10.x to 11.x" migration guide and the API reference of 11.0 list as removed. Each class is listed
with the names that a choice between versions may hang on, not with all of them.
"""

_BUILDER = {"create_network", "create_builder_config", "build_serialized_network", "num_DLA_cores"}
_FAST = {"platform_has_fast_fp16", "platform_has_fast_int8"}
_CONFIG = {"set_flag", "get_flag", "flags", "default_device_type", "DLA_core"}
_POOL = {"set_memory_pool_limit", "get_memory_pool_limit"}
_NAMED = {
    "num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_shape", "get_tensor_dtype",
}  # fmt: skip
_PLACED = {
    "num_bindings", "get_binding_name", "get_binding_index", "get_binding_shape",
    "get_binding_dtype", "binding_is_input", "max_batch_size",
}  # fmt: skip
_ENGINE = {"create_execution_context", "serialize", "name", "num_layers"}
_WEAK = {"FP16", "INT8"}
_FLAGS = {"GPU_FALLBACK", "TF32", "DEBUG", "REFIT"}

# By version: module, BuilderFlag, NetworkDefinitionCreationFlag, Builder, IBuilderConfig,
# ICudaEngine, IExecutionContext.
SURFACES = {
    "8.2.1.8": {
        "module": {"IInt8EntropyCalibrator2"},
        "flags": _WEAK | _FLAGS | {"STRICT_TYPES"},
        "network": {"EXPLICIT_BATCH", "EXPLICIT_PRECISION"},
        "builder": _BUILDER | _FAST | {"max_batch_size", "build_engine"},
        "config": _CONFIG | {"max_workspace_size", "int8_calibrator"},
        "engine": _ENGINE | _PLACED,
        "context": {"execute_v2", "execute_async_v2", "set_binding_shape", "get_binding_shape"},
    },
    "8.5.2.2": {
        "module": {"IInt8EntropyCalibrator2", "MemoryPoolType", "TensorIOMode"},
        "flags": _WEAK | _FLAGS,
        "network": {"EXPLICIT_BATCH", "EXPLICIT_PRECISION"},
        "builder": _BUILDER | _FAST | {"max_batch_size", "build_engine"},
        "config": _CONFIG | _POOL | {"max_workspace_size", "int8_calibrator"},
        "engine": _ENGINE | _PLACED | _NAMED,
        "context": {
            "execute_v2", "execute_async_v2", "execute_async_v3", "set_tensor_address",
            "set_input_shape", "set_binding_shape", "get_binding_shape",
        },
    },
    "10.3.0": {
        "module": {"IInt8EntropyCalibrator2", "MemoryPoolType", "TensorIOMode"},
        "flags": _WEAK | _FLAGS | {"BF16", "FP8"},
        "network": {"EXPLICIT_BATCH", "STRONGLY_TYPED"},
        "builder": _BUILDER | _FAST,
        "config": _CONFIG | _POOL | {"int8_calibrator"},
        "engine": _ENGINE | _NAMED,
        "context": {"execute_v2", "execute_async_v3", "set_tensor_address", "set_input_shape"},
    },
    "11.0.0": {
        "module": {"MemoryPoolType", "TensorIOMode"},
        "flags": _FLAGS,
        "network": {"STRONGLY_TYPED"},
        "builder": _BUILDER,
        "config": _CONFIG | _POOL,
        "engine": _ENGINE | _NAMED,
        "context": {"execute_v2", "execute_async_v3", "set_tensor_address", "set_input_shape"},
    },
}  # fmt: skip
PARSED_OPSETS = {"8.2.1.8": 13, "8.5.2.2": 17, "10.3.0": 20, "11.0.0": 25}
