"""Grids of runs and the tables and pictures made of them."""
