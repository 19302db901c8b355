"""The tasks of anyone's folder of MIDI files, declared when it is compiled with `t5music compile --midi FOLDER`."""

import seqio

from t5music.data.corpora.folder import LABEL
from t5music.data.examples import Classify, Continue, Pieces
from t5music.data.mixing import Proportional
from t5music.data.seqio_tasks import add_task
from t5music.tasks.pretraining import SPAN_CORRUPTION


def declare(name: str, labels: tuple[str, ...]) -> list[str]:
    """Declares `<name>_span_corruption`, `<name>_continue` and, with two labels or more, `<name>_classify`.

    The mixture `<name>` holds all but the first, each at a rate proportional to its examples.

    Returns:
      Names of the mixture and the tasks, the mixture first.
    """
    add_task(f"{name}_span_corruption", name, Pieces("remi"), SPAN_CORRUPTION)
    add_task(f"{name}_continue", name, Continue(name, "remi"))
    supervised = [f"{name}_continue"]
    if len(labels) > 1:
        add_task(f"{name}_classify", name, Classify(LABEL, labels, "remi"))
        supervised.append(f"{name}_classify")
    if name not in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.add(name, supervised, default_rate=Proportional())
    return [name, f"{name}_span_corruption", *supervised]
