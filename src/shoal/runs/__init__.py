"""One execution on the server: what it reads, computes and publishes."""
