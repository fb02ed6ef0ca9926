"""Shoal without a server: `shoal.cluster`, estimators, saved clusterings."""
