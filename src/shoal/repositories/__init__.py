"""Typed records and the audit log over the metadata store."""
