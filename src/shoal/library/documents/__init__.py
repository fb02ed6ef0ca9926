"""The documents to cluster: the rows that are read, their texts, and vectors made from these."""
