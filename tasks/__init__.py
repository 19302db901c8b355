"""seqio tasks and mixtures, declared and nothing else. Importing a module registers what it declares."""
