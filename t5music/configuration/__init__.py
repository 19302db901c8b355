"""Configuration: what gin may configure, and a strict reading of gin files."""
