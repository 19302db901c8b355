"""t5music: transfer learning for symbolic music, text in and text out.

    model = t5music.load()                  # the model that comes with t5music
    music = model.continue_("song.mid")
    music.play()
    music.save("new.mid")

The package imports nothing heavy: `import t5music` costs milliseconds. Import the module you need, for example
`from t5music.music import midi`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t5music.inference.model import load as load

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`t5music.load`, which is imported when it is first asked for."""
    if name == "load":
        return import_module("t5music.inference.model").load
    raise AttributeError(f"module 't5music' has no attribute {name!r}")
