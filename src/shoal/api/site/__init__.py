"""The pages beside the API: a page about this server, the API reference, and a 404 page. They need no key and load
nothing from other hosts."""

from shoal.api.site.site import Site

__all__ = ["Site"]
