"""k-means: starts, nearest centers, Lloyd and mini-batch steps, the choice of k."""
