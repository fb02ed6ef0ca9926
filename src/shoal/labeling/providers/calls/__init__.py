"""Calls of language models: the interface, the wire, limits, and the account of what is used."""
