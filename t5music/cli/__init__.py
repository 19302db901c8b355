"""The command line: verbs and their flags. Nothing heavy is imported until a verb runs."""
