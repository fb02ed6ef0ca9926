"""The caller's file written again with its clusters."""
