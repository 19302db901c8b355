"""`python -m t5music`: the command line."""

import sys

from t5music.cli.main import main

sys.exit(main())
