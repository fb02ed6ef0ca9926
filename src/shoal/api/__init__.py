"""HTTP and nothing else: routes call services and dress their answers for the wire."""
