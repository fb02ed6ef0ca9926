"""Several resolutions of one clustering, and the trees that connect them."""
