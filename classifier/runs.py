"""Which texts go through a model together: those of like length, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_MOST_TOKENS = 1024  # of one run, padding included; beyond it a longer run saves nothing


def runs_of_like_length(lengths: Sequence[int], *, ratio: float, slack: int) -> Iterator[list[int]]:
    """Yield the positions of each run, shortest first; every position once.

    Args:
        lengths: in tokens, each at least 1.
        ratio: with ``slack``, how much longer than a run's first its longest may be. A model that
            costs much per run wants few runs, one that costs much per token wants little padding.
        slack: in tokens.
    """
    run: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        width = lengths[position]
        too_wide = run and width > ratio * lengths[run[0]] + slack
        if run and (too_wide or width * (len(run) + 1) > _MOST_TOKENS):
            yield run
            run = []
        run.append(position)
    if run:
        yield run
