"""Where t5music installs: wheels of every package it needs, by operating system and Python, as uv finds them.

    python tests/installs/resolve.py [EXTRA ...]

prints a Markdown table: how many packages an install has, or why there is none. Nothing is installed. It needs uv and a
package index.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {  # as uv calls them
    "Linux": "x86_64-manylinux_2_28",
    "macOS (arm64)": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}


def requirements(extras: Sequence[str] = ()) -> list[str]:
    """What pyproject.toml asks for, with the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]


def resolve(lines: Sequence[str], python: str, platform: str, constraints: Path | None = None) -> dict[str, str]:
    """The packages of an install, name -> version, all of which have wheels for this Python and platform.

    Raises RuntimeError, with what uv says, where there is no such set.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", platform, "--only-binary", ":all:"]
    command += [] if constraints is None else ["--constraints", str(constraints)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()))
    return dict(line.split(";")[0].strip().split("==") for line in done.stdout.splitlines() if "==" in line)


def table(extras: Sequence[str]) -> str:
    """The number of packages by Python and platform, or why there is no install, in Markdown."""
    lines = [f"| Python | {' | '.join(PLATFORMS)} |", f"|---|{'---|' * len(PLATFORMS)}"]
    for python in PYTHONS:
        cells = []
        for platform in PLATFORMS.values():
            try:
                cells.append(str(len(resolve(requirements(extras), python, platform))))
            except RuntimeError as error:
                cells.append(f"none: {error}")
        lines.append(f"| {python} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml; without any, the base install")
    print(table(parser.parse_args().extras))
