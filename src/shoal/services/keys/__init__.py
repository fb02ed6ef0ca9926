"""API keys: the resource, its cache, the key file and its owner."""
