"""Devices: platforms, processes and chips."""
