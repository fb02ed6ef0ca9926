"""Parquet, Arrow, NumPy and other columnar files."""
