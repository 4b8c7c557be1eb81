# ruff: noqa: ANN401 - torch has no types here
# mypy: disable-error-code="misc,no-untyped-call,unused-ignore"
"""The pair head: P(one answer serves both) from the token vectors of two prompts.

Each token is aligned with the other prompt's tokens (four soft alignments, on a quarter of its
dimensions each) and compared with what it met: its own vector, the met one, their difference and
product, how sharp the alignment is, and how far it leads from the token's own place. A small
network judges each token; the mean and the greatest of all judgements, of both prompts, and the
cosine and the lengths give the verdict. The greatest is what sees the one word that is met nowhere.

After Parikh et al., "A Decomposable Attention Model for Natural Language Inference" (2016), on
token vectors that an encoder has made already. Symmetric: swapping the prompts changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from classifier.tokens import DIM, TOKENS

_ALIGNMENTS = 4
_JUDGED = 96
_JUDGEMENT = 64


class PairHead(nn.Module):
    """Maps token vectors of two prompts to a logit."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.full((_ALIGNMENTS,), 0.7))
        self.judge = nn.Sequential(
            nn.Linear(4 * DIM + 2 * _ALIGNMENTS, _JUDGED),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(_JUDGED, _JUDGEMENT),
            nn.GELU(approximate="tanh"),
        )
        self.verdict = nn.Sequential(
            nn.Linear(4 * _JUDGEMENT + 4, _JUDGED),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(_JUDGED, 1),
        )

    def forward(self, tokens: Any, mask: Any, cosine: Any) -> Any:
        """Return logits, shape (n,).

        Both prompts go through one pass, for in a service a run of so small a model costs as much
        by its number of steps as by its arithmetic.

        Args:
            tokens: shape (2, n, tokens, DIM): of the one prompts, then of the other ones.
            mask: shape (2, n, tokens), 1 where there is a token, else 0, which come last; never
                all 0.
            cosine: shape (n,), of the prompts' vectors.
        """
        pieces = _shaped(tokens, (0, 0, 0, _ALIGNMENTS, -1)).transpose(2, 3)
        others, absent = pieces.flip(0), (mask - 1.0) * 1e4
        scores = (pieces * self.sharpness.exp()[:, None, None]) @ others.transpose(3, 4)
        weights = (scores + absent.flip(0)[:, :, None, None, :]).softmax(4)
        met = _shaped((weights @ others).transpose(2, 3), (0, 0, 0, -1))
        place = mask.cumsum(2)[:, :, None, :, None] / TOKENS
        moved = (weights @ place.flip(0) - place).abs()
        sharp = weights.amax(4, keepdim=True)
        alignment = torch.cat([moved, sharp], 2).squeeze(4).transpose(2, 3)
        judged = self.judge(
            torch.cat([tokens, met, (tokens - met).abs(), tokens * met, alignment], 3)
        )
        n_tokens = mask.sum(2)
        mean = (mask[:, :, None, :] @ judged).squeeze(2) / n_tokens[..., None]
        greatest = (judged + absent[..., None]).amax(2)
        one, two = torch.cat([mean, greatest], 2)
        shorter, longer = n_tokens.amin(0) / TOKENS, n_tokens.amax(0) / TOKENS
        rest = torch.stack([cosine, longer - shorter, longer, longer * shorter], 1)
        return self.verdict(torch.cat([one + two, (one - two).abs(), rest], 1)).squeeze(1)


class _Shape(torch.autograd.Function):
    """Reshapes, where 0 keeps a dimension: one step in ONNX, where ``reshape`` makes seven."""

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.before = x.shape
        return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0].reshape(ctx.before), None

    @staticmethod
    def symbolic(g: Any, x: Any, shape: tuple[int, ...]) -> Any:
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape)))


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    return _Shape.apply(x, shape)
