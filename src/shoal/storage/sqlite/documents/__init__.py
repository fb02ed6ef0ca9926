"""Documents and vectors of a namespace in SQLite and segment files."""
