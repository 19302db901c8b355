"""The command line: `t5music VERB`."""
