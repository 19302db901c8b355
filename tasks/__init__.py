"""Tasks and mixtures, declared and nothing else. `t5music.tasks.mixtures` registers all of them with seqio."""
