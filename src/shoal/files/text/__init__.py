"""Decompresses and decodes the text of files."""
