"""Views of a clustering: tables, breakdowns, notebook output."""
