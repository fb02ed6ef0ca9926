"""The metadata store and the document store on SQLite."""
