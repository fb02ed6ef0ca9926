"""Two- and three-dimensional maps of rows."""
