"""What the configuration of a cluster means for its runs."""
