"""From the input of a run to its groups, one file for each kind of feature extraction."""
