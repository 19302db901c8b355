"""The verbs of the command line: a file each, `t5music VERB` is VERB.py here.

A verb's file has

    HELP             one line: what the verb does
    add_flags        adds the verb's flags to its argparse parser
    run              does the work, given the parsed flags; imports inside what is heavy

Flags that several verbs share are in `cli/flags.py`, those of gin in `cli/gin_flags.py`. A new verb is a file here and
its name in VERBS.
"""

# In the order of `t5music --help`: from music to data, models, and what models do with one's own music.
VERBS = (
    "corpora",
    "compile",
    "leakage",
    "models",
    "train",
    "eval",
    "study",
    "launch",
    "average",
    "generate",
    "classify",
    "label",
    "embed",
    "similar",
    "original",
    "compare",
    "listen",
    "export",
    "serve",
    "quickstart",
)

# What people take for verbs -> what they may mean.
ASKED_OF_GENERATE = {
    name: f"generate --task {name}" for name in ("continue", "infill", "accompany", "improvise", "compose")
}
