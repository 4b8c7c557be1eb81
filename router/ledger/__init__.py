"""Who spent what, saved what and wasted what; tickets and idempotent outcomes."""
