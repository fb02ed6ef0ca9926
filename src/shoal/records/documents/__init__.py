"""Documents: stored and as answered, their writes and vectors."""
