"""The figures of speed are complete; how fast it is, is for benchmarks to say."""

from __future__ import annotations

from benchmarks.encoding import shipped_encoder
from benchmarks.route_speed import milliseconds_under_load
from classifier.complexity import ComplexityModel


def test_the_score_is_timed_while_every_core_works() -> None:
    """Wall time is at least core time, and the encoder costs more than the score."""
    encoder = shipped_encoder()
    scorer = ComplexityModel.load(encoder_id=encoder.encoder_id)

    found = milliseconds_under_load(encoder, scorer, ["How deep is the lake?"] * 8, seconds=0.2)

    assert found["n"] >= found["threads"] * found["batch"]
    assert 0 < found["core_p50"] <= found["core_p99"]
    assert found["wall_p50"] > 0
    assert found["of_encoder"] > 0
