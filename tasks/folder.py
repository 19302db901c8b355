"""Tasks of a folder of one's own, declared when it is compiled: `t5music compile --midi FOLDER` or `--text FOLDER`."""

from collections.abc import Mapping

import seqio

from t5music.corpora.sources.folder import LABEL
from t5music.data.examples import Classify, Continue, Infill, Pieces, Texts
from t5music.data.mixing_rates import Proportional
from t5music.data.seqio_bridge.tasks import add_task
from t5music.tasks.pretraining import OBJECTIVES, SPAN_CORRUPTION


def declare(name: str, labels: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Declares `<name>_span_corruption`, `<name>_continue`, `<name>_infill` and one task to classify each label.

    That is called `<name>_classify` where the sub-folders are the labels, `<name>_classify_<label>` where a table has
    them; a label has at least two values. The mixture `<name>` holds all but the first task, each at a rate
    proportional to its examples.

    Returns:
        Names of the mixture and the tasks, the mixture first.
    """
    add_task(f"{name}_span_corruption", name, Pieces("remi"), SPAN_CORRUPTION)
    add_task(f"{name}_continue", name, Continue(name, "remi"))
    add_task(f"{name}_infill", name, Infill(name, "remi"))
    supervised = [f"{name}_continue", f"{name}_infill"]
    for label, values in labels.items():
        if len(values) > 1:
            task = f"{name}_classify" if label == LABEL else f"{name}_classify_{label}"
            add_task(task, name, Classify(label, values, "remi"))
            supervised.append(task)
    if name not in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.add(name, supervised, default_rate=Proportional())
    return [name, f"{name}_span_corruption", *supervised]


def declare_text(name: str) -> list[str]:
    """Declares `<name>_language_model` and `<name>_span_corruption` of a folder of text; returns their names."""
    tasks = {f"{name}_{objective}": OBJECTIVES[objective] for objective in ("language_model", "span_corruption")}
    for task, objectives in tasks.items():
        add_task(task, name, Texts(), objectives)
    return list(tasks)
