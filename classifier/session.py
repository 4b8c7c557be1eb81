"""How a model is opened in a service: few threads, and none that spins while it waits."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort


def open_session(model: bytes, *, threads: int = 1) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return an onnxruntime session on the CPU.

    Args:
        model: a serialized ONNX model.
        threads: cores that one run may use.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # patterns are kept per shape, and every length is a shape
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
