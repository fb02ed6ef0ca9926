"""Filters, sorting and paging."""
