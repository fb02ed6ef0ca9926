"""What every store promises, one file a trait. One contract suite runs over all stores.

All methods are synchronous and safe to call from any thread and from several processes. Every call carries a Scope:
nothing outside it can be read, changed or counted. A write is on disk before its method returns.
"""
