"""Community detection in a nearest-neighbour graph."""
