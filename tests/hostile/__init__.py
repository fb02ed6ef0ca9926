"""What one hostile caller may send, all of it at once, and what it costs the others."""
