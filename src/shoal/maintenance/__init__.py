"""Care of an installation: diagnosis, backup and restore."""
