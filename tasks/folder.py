"""Tasks of a folder of one's own, declared when it is compiled: `t5music compile --midi FOLDER` or `--text FOLDER`."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from t5music.corpora import folder_records
from t5music.corpora.catalogue import CATALOGUE
from t5music.corpora.sources.folder import LABEL
from t5music.data.declaration import add_mixture, add_task, remove
from t5music.data.examples import Classify, Continue, Infill, Pieces, Texts
from t5music.data.mixing_rates import Proportional
from t5music.errors import ConfigError
from t5music.tasks.pretraining import OBJECTIVES, SPAN_CORRUPTION

_names: dict[str, list[str]] = {}  # of each declared folder, its tasks and its mixture


def declare(name: str, labels: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Declares `<name>_span_corruption`, `<name>_continue`, `<name>_infill` and one task to classify each label.

    That is called `<name>_classify` where the sub-folders are the labels, `<name>_classify_<label>` where a table has
    them; a label has at least two values. The mixture `<name>` holds all but the first task, each at a rate
    proportional to its examples. What was declared for this folder before is taken back.

    Returns:
        Names of the mixture and the tasks, the mixture first.

    Raises:
        ConfigError: another corpus, task or mixture has one of these names.
    """
    _begin(name)
    add_task(f"{name}_span_corruption", name, Pieces("remi"), SPAN_CORRUPTION)
    supervised = [f"{name}_continue", f"{name}_infill"]
    add_task(supervised[0], name, Continue(name, "remi"))
    add_task(supervised[1], name, Infill(name, "remi"))
    for label, values in labels.items():
        if len(values) > 1:
            task = f"{name}_classify" if label == LABEL else f"{name}_classify_{label}"
            add_task(task, name, Classify(label, values, "remi"))
            supervised.append(task)
    add_mixture(name, dict.fromkeys(supervised, Proportional()))
    _names[name] = [name, f"{name}_span_corruption", *supervised]
    return list(_names[name])


def declare_text(name: str) -> list[str]:
    """Declares `<name>_language_model` and `<name>_span_corruption` of a folder of text.

    What was declared for this folder before is taken back. Returns the names of the tasks. Raises ConfigError as
    `declare`.
    """
    _begin(name)
    tasks = {f"{name}_{objective}": OBJECTIVES[objective] for objective in ("language_model", "span_corruption")}
    for task, objectives in tasks.items():
        add_task(task, name, Texts(), objectives)
    _names[name] = list(tasks)
    return list(tasks)


def declare_built(data_dir: Path) -> None:
    """Declares the tasks of every folder that was compiled in `data_dir`, as they were declared then."""
    for record in folder_records.read_all(data_dir):
        try:
            if record.text:
                declare_text(record.name)
            else:
                declare(record.name, record.labels)
        except ConfigError as error:
            warnings.warn(f"tasks of folder {record.folder}: {error}", stacklevel=2)


def names_built(data_dir: Path) -> set[str]:
    """The names of the mixtures and tasks of every folder of music that was compiled in `data_dir`."""
    declare_built(data_dir)
    folders = [record.name for record in folder_records.read_all(data_dir) if not record.text]
    return {name for folder in folders for name in _names.get(folder, ())}


def _begin(name: str) -> None:
    """Takes back what was declared for a folder. Raises ConfigError for the name of a catalogued corpus."""
    if name in CATALOGUE:
        raise ConfigError(f"{name!r} is a corpus of the catalogue: choose another --name for the folder")
    remove(_names.pop(name, []))
