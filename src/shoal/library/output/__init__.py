"""The caller's rows written again with their clusters."""
