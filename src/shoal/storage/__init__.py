"""From memory to disk and back: metadata, documents with vectors, artifacts."""
