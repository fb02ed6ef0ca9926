"""Who calls: the key of a request, whether it still holds when the handler begins, and what it permits."""
