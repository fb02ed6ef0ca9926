"""Several features per document: scaling, weighting and agreement."""
