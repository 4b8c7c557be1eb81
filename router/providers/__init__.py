"""One file per wire protocol; each maps its errors to ``router.errors``."""
