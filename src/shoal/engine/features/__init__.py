"""Several features of a document: their scales, weights and agreement."""
