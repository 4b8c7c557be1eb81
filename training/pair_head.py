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

    def forward(self, a: Any, a_mask: Any, b: Any, b_mask: Any, cosine: Any) -> Any:
        """Return logits, shape (n,).

        Args:
            a: shape (n, tokens, DIM).
            a_mask: shape (n, tokens), 1 where there is a token, else 0; never all 0.
            b: as ``a``, of the other prompts.
            b_mask: as ``a_mask``.
            cosine: shape (n,), of the prompts' vectors.
        """
        one, two = self._side(a, a_mask, b, b_mask), self._side(b, b_mask, a, a_mask)
        n_a, n_b = a_mask.sum(1) / TOKENS, b_mask.sum(1) / TOKENS
        rest = torch.stack([cosine, (n_a - n_b).abs(), torch.maximum(n_a, n_b), n_a * n_b], 1)
        return self.verdict(torch.cat([one + two, (one - two).abs(), rest], 1)).squeeze(1)

    def _side(self, mine: Any, mask: Any, theirs: Any, their_mask: Any) -> Any:
        """Return what the tokens of one prompt come to, shape (n, 2 * _JUDGEMENT)."""
        n = mine.shape[0]  # a tensor while it is exported, so that any number of pairs goes
        split = (n, -1, _ALIGNMENTS, DIM // _ALIGNMENTS)
        queries, keys = (x.reshape(split).permute(0, 2, 1, 3) for x in (mine, theirs))
        scores = queries @ keys.transpose(2, 3) * self.sharpness.exp()[None, :, None, None]
        scores = scores - (1.0 - their_mask)[:, None, None, :] * 1e4
        weights = scores.softmax(3)
        met = (weights @ keys).permute(0, 2, 1, 3).reshape(n, -1, DIM)
        place = torch.cumsum(torch.ones_like(their_mask), 1) / TOKENS
        own = torch.cumsum(torch.ones_like(mask), 1) / TOKENS
        moved = (weights @ place[:, None, :, None]).squeeze(3).permute(0, 2, 1) - own[..., None]
        sharp = weights.amax(3).permute(0, 2, 1)
        features = torch.cat([mine, met, (mine - met).abs(), mine * met, moved.abs(), sharp], 2)
        judged = self.judge(features)
        mean = (judged * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        greatest = (judged - (1.0 - mask)[..., None] * 1e4).amax(1)
        return torch.cat([mean, greatest], 1)
