"""What lies on the local disk: artifacts, checkpoints, the data folder."""
