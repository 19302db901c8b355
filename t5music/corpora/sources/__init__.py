"""Sources: one file for each corpus of the catalogue, and one for folders of one's own."""
