"""Mixtures and tasks in seqio: importing this module registers all of them, with those of one's own folders.

    import seqio, t5music.tasks.mixtures
    task = seqio.get_mixture_or_task("nottingham_continue")

Without the `[data]` extra they are declared alone (`t5music.data.declaration`), which is all that compiling needs.
"""

from importlib.util import find_spec

from t5music.files import data_dir
from t5music.tasks import folder, study_mixtures  # noqa: F401  (it declares the tasks and mixtures of the catalogue)

folder.declare_built(data_dir())
if find_spec("seqio") is not None and find_spec("tensorflow") is not None:
    from t5music.data.seqio_bridge.tasks import register_everything

    register_everything()
