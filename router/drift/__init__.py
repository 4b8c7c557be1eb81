"""Whether a namespace's routing still is as calibrated: watched all the time, told once."""

from router.drift.evidence import FALSE_ALARM
from router.drift.watch import Drift

__all__ = ["FALSE_ALARM", "Drift"]
