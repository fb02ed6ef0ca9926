"""From "should run" to "did run": claims, leases, child processes. Knows nothing of clusters."""
