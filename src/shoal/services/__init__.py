"""What can be done: one file a resource, one method an operation of the wire."""
