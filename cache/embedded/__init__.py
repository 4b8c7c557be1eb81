"""The cache on one machine: SQLite holds the truth, FAISS finds what is near."""
