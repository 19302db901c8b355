"""The seqio bridge: tasks, objectives, vocabulary and caches as seqio knows them."""
