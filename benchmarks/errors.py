"""What a benchmark cannot work with: the caller's mistake, told in one sentence, exit 2."""

from __future__ import annotations


class UnusableInput(Exception):
    """A file, option or artifact does not allow the run; the message says which and what to do."""
