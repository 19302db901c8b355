"""The server: a page and an HTTP API for a model (`t5music serve`), on Python's own HTTP server.

A request is small, and one answer is computed at a time, so that what a web framework would bring, routes and many
connections at once, is not what costs. Python's server needs no installation, and nothing of it asks the network.
"""
