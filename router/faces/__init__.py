"""Wire to types and back, errors to statuses; nothing else."""
