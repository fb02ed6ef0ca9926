"""Document ids in files: read, inferred or generated."""
