"""From points and texts to named clusters; shared by runs and by the library."""
