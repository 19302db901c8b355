"""Sound fonts on this machine: which one plays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from t5music.errors import ConfigError
from t5music.storage import path_of

VARIABLE = "T5MUSIC_SOUND_FONT"
# Where Debian and Fedora, Homebrew (on both kinds of Mac), and people on Macs and Windows have them.
FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/usr/local/share/fluidsynth",
    "/opt/homebrew/share/soundfonts",
    "/opt/homebrew/share/fluid-synth/sf2",
    "~/.local/share/soundfonts",
    "~/Library/Audio/Sounds/Banks",
    "C:/soundfonts",
    "~/Documents/SoundFonts",
)
# By name, the best first; any other comes after these.
PREFERENCE = ("musescore_general", "fluidr3_gm", "default", "generaluser", "freepats", "timgm6mb")
HOW_TO = (
    "there is no sound font (.sf2) on this machine: install a free one (Debian: apt install fluid-soundfont-gm, or "
    f"timgm6mb-soundfont), or name one by --sound_font or {VARIABLE}"
)


def find_font(font: str | None = None) -> Path:
    """The sound font to play with: `font`, else the environment's T5MUSIC_SOUND_FONT, else one of the usual folders.

    Args:
        font: a path, as `--sound_font` gives it.

    Raises:
        ConfigError: the one that is named is not there, or there is none at all.
    """
    for flag, name in (("--sound_font", font), (VARIABLE, os.environ.get(VARIABLE))):
        if name:
            path = path_of(name).expanduser()
            if not path.is_file():
                raise ConfigError(f"{flag} {name}: there is no such file")
            return path
    installed = sorted(_installed(), key=_rank)
    if not installed:
        raise ConfigError(HOW_TO)
    return installed[0]


def _installed() -> Iterator[Path]:
    """The .sf2 files in the usual folders."""
    for name in FOLDERS:
        folder = Path(name).expanduser()
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".sf2" and path.is_file())


def _rank(path: Path) -> int:
    stem = path.stem.lower().replace(" ", "_")
    return next((rank for rank, name in enumerate(PREFERENCE) if stem.startswith(name)), len(PREFERENCE))
