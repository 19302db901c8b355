"""Fonts: which of the machine's fonts show a text in any script."""

from __future__ import annotations

import functools
import warnings

FIRST = "DejaVu Sans"  # comes with matplotlib, so pictures look alike everywhere


def fonts_for(text: str) -> list[str]:
    """The fonts to write a text in: the first one, and others for the characters that those before lack.

    What no font of the machine has is drawn as a box.
    """
    missing = frozenset(text) - _characters(FIRST)
    names = [FIRST]
    for name in _installed() if missing else ():
        if missing & _characters(name):
            names.append(name)
            missing -= _characters(name)
        if not missing:
            break
    return names


@functools.cache
def _installed() -> tuple[str, ...]:
    """The names of all fonts, without repeats, in alphabetical order."""
    from matplotlib import font_manager

    return tuple(sorted({entry.name for entry in font_manager.fontManager.ttflist}))


@functools.cache
def _characters(name: str) -> frozenset[str]:
    """The characters that a font has; none of a font that cannot be opened."""
    from matplotlib import font_manager

    path = next((entry.fname for entry in font_manager.fontManager.ttflist if entry.name == name), None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return frozenset(map(chr, font_manager.get_font(path).get_charmap())) if path else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
