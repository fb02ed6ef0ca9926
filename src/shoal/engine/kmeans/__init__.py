"""k-means: seeding, nearest centers, Lloyd and mini-batch steps, choice of k."""
