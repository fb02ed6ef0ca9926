"""Makes the table of the static encoder: sentences, MiniLM's vectors of them, and word vectors fitted to these."""
