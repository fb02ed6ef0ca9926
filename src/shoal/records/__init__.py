"""The control plane: small JSON-shaped records, one file a wire resource, with its request bodies."""
