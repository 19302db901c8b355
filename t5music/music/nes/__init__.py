"""The NES: any music adapted to its four voices."""
