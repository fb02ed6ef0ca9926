"""Finds the files of a path, a pattern, a folder or an address, in a deterministic order."""
