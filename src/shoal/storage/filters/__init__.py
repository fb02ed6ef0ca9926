"""One filter tree, several readers: `to_mask` is plain Python and the oracle, `to_sql` speaks SQLite."""
