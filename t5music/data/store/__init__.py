"""Token stores: the compiled tokens of a task on disk."""
