"""Communities in a nearest-neighbour graph."""
