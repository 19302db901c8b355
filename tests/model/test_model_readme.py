"""The table of T5's numerics in t5music/model/README.md names files and tests that are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "t5music"
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (PACKAGE / "model" / "README.md").read_text().splitlines()
    if line.startswith("| ") and "test_" in line
]


def test_every_numeric_has_a_file_and_a_test():
    assert len(ROWS) >= 20
    for item, _, code, tests in ROWS:
        for path in re.findall(r"`([^`]+)`", code):
            assert (PACKAGE / "model" / path).exists() or (PACKAGE / path).exists(), f"{item}: {path}"
        for file, names in re.findall(r"`(\S+\.py)`: ([^;]+)", tests):
            text = (TESTS / file).read_text()
            for name in re.findall(r"`(\w+)`", names):
                assert f"def test_{name}(" in text, f"{item}: {name} in {file}"
        assert re.search(r"`\S+\.py`: `\w+`", tests), item
