"""What a browser is shown beside the API: a page about this server, the reference of the API, and a page for what is
not there. None of it needs a key, and none of it loads anything from another machine."""

from shoal.api.site.site import Site

__all__ = ["Site"]
