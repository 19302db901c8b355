"""Configuration: what gin may set, and a strict reading of gin files."""
