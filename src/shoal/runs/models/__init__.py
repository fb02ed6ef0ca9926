"""Language models that name clusters of runs: which are connected, what they are shown, answer and cost."""
