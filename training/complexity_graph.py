"""The complexity model as an ONNX graph: what ``classifier/curve.py`` computes, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from classifier.curve import LEAST_P, MOST_SPREADS, STRUCTURE_SCALE, Curve

_OPSET = 17
_IR_VERSION = 8  # what the pinned onnxruntime reads


def to_onnx(curve: Curve) -> bytes:
    """Return the serialized graph.

    From ``vector`` (n, dim) and ``structure`` (n, F) to ``p`` (n, H) and ``nearest`` (n, 1), the
    cosine to the nearest landmark.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    weights, intercepts = curve.kinds
    low, high = curve.familiar
    constants: dict[str, Any] = {
        "mean": curve.space.mean,
        "inverse": curve.space.inverse,
        "z_low": -MOST_SPREADS,
        "z_high": MOST_SPREADS,
        "slope": curve.slope[:, None],
        "ability_less_level": curve.abilities[None, :] - np.float32(curve.level),
        "landmarks": np.ascontiguousarray(curve.landmarks.T),
        "sharpness": curve.sharpness,
        "one": 1.0,
        "zero": 0.0,
        "familiar_low": low,
        "familiar_width": high - low,
        "kind_weights": weights,
        "kind_intercepts": intercepts,
        "structure_scale": STRUCTURE_SCALE,
        "corrections": curve.corrections,
        "p_low": LEAST_P,
        "p_high": 1 - LEAST_P,
    }
    steps: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
        ("Sub", ("structure", "mean"), "centred", {}),
        ("Mul", ("centred", "inverse"), "scaled", {}),
        ("Clip", ("scaled", "z_low", "z_high"), "z", {}),
        ("MatMul", ("z", "slope"), "harder", {}),
        ("Sub", ("ability_less_level", "harder"), "logits", {}),
        ("Sigmoid", ("logits",), "by_curve", {}),
        ("MatMul", ("vector", "landmarks"), "cosine", {}),
        ("Sub", ("cosine", "one"), "below_one", {}),
        ("Mul", ("below_one", "sharpness"), "sharpened", {}),
        ("Exp", ("sharpened",), "kernels", {}),
        ("ReduceMax", ("cosine",), "nearest", {"axes": [1], "keepdims": 1}),
        ("Sub", ("nearest", "familiar_low"), "above", {}),
        ("Div", ("above", "familiar_width"), "part", {}),
        ("Clip", ("part", "zero", "one"), "near", {}),
        ("Concat", ("vector", "z"), "both", {"axis": 1}),
        ("MatMul", ("both", "kind_weights"), "kind_sums", {}),
        ("Add", ("kind_sums", "kind_intercepts"), "kind_logits", {}),
        ("Softmax", ("kind_logits",), "kinds", {"axis": 1}),
        ("Mul", ("z", "structure_scale"), "z_small", {}),
        ("Mul", ("z_small", "near"), "z_near", {}),
        ("Concat", ("kernels", "z_near", "kinds", "near"), "basis", {"axis": 1}),
        ("MatMul", ("basis", "corrections"), "corrected", {}),
        ("Add", ("by_curve", "corrected"), "raw", {}),
        ("Clip", ("raw", "p_low", "p_high"), "p", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [out], **more) for op, inputs, out, more in steps],
        "complexity",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in (
                ("vector", curve.landmarks.shape[1]),
                ("structure", len(curve.slope)),
            )
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in (("p", len(curve.abilities)), ("nearest", 1))
        ],
        [numpy_helper.from_array(_float32(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _float32(value: Any) -> npt.NDArray[np.float32]:  # noqa: ANN401  arrays and plain numbers
    return np.asarray(value, dtype=np.float32)
