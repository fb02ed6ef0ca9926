"""Files at https:// and s3:// addresses."""
