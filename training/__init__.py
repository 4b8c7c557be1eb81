"""Makes the artifacts of the classifier from weights and labelled data.

Only this room knows torch. What it writes is read by ``classifier``, which trusts nothing but the
card: every artifact names its sources, their terms, its seeds and its own measured numbers.
"""
