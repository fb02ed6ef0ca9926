"""What commands print: tables, trees, hints, progress."""
