"""Document ids in files: found, likely, or generated."""
