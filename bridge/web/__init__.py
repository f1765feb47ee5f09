"""Shell of the pages: base template, static files."""
