"""MidiTok's parse + tokenize (REMI, its default configuration), in the environment that `make peers` fills.

Reads lines of JSON lists of files, writes lines of seconds a file, null for a file that MidiTok refuses.
"""

import json
import sys
import time

import symusic
from miditok import REMI

tokenizer = REMI()
for line in sys.stdin:
    seconds: list[float | None] = []
    for file in json.loads(line):
        start = time.perf_counter()
        try:
            tokens = tokenizer(symusic.Score(file))
        except Exception:  # whatever it is, the file is no use for a comparison
            seconds.append(None)
        else:
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds), flush=True)
