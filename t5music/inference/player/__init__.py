"""The player: music as a page that needs nothing else, and what a notebook shows."""
