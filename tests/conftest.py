"""For all tests: a property is never judged by its time."""

from hypothesis import settings

settings.register_profile("scrimp", deadline=None)
settings.load_profile("scrimp")
