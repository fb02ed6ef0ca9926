"""Documents: reading, writing, checking and aggregating them."""
