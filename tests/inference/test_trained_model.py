"""Trained models: a folder is opened once, and what its metadata say of tasks is checked before they are asked."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import DELETED, mutated, refusal, replaced

from t5music import json_files
from t5music.cli.main import main
from t5music.data.examples import Classify, Continue, to_config
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import default
from t5music.errors import CheckpointError
from t5music.inference import export, trained_model
from t5music.inference.model_folder import open_model
from t5music.music import midi
from t5music.training.checkpoints import digests
from t5music.training.checkpoints.checkpoint import Checkpoint

TASKS = {"tunes": Continue("folk", "remi"), "moods": Classify("mood", ("happy", "sad"), "remi")}
METADATA = Path("checkpoints", "1", "metadata", "metadata")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return tiny_models.write_run(tmp_path_factory.mktemp("trained") / "run", TASKS)


@pytest.fixture(scope="module")
def exported(run) -> Path:
    return export.export(Checkpoint.open(run), str(run.parent / "exported"), default())


def test_a_run_and_its_export_open_alike(run, exported):
    one, other = (open_model(folder, default()) for folder in (run, exported))
    assert (one.step, one.config, one.metadata.tasks) == (other.step, other.config, other.metadata.tasks)
    jax.tree.map(np.testing.assert_array_equal, one.params(), other.params())
    trained = trained_model.load(exported)
    assert (trained.tasks, trained.lengths, trained.step) == (TASKS, tiny_models.LENGTHS, 1)
    with pytest.raises(CheckpointError, match="exported holds a single model: there is no checkpoint 'best'"):
        open_model(exported, default(), "best")


def test_a_folder_is_read_once(run, exported, monkeypatch):
    read = json_files.read_json
    names: list[str] = []

    def counted(path, **options):
        names.append(str(path))
        return read(path, **options)

    monkeypatch.setattr(json_files, "read_json", counted)
    for folder in (run, exported):
        names.clear()
        trained_model.load(folder)
        assert names
        assert len(names) == len(set(names))


def change(run: Path, *path, value) -> None:
    content = json.loads((run / METADATA).read_text())
    (run / METADATA).write_text(json.dumps(replaced(content, path, value)))
    digests.seal(run / METADATA.parent.parent)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("tasks", "tunes", "kind"), "sing", "a task that cannot be used, tunes: unknown kind of examples 'sing'"),
        (("tasks", "tunes", "kind"), ["continue"], "tunes: unknown kind of examples"),
        (("tasks", "tunes", "words"), 0, "tunes: words must be from 1 to 1,048,576, not 0"),
        (("tasks", "tunes", "words"), 2**40, "tunes: words must be from 1 to 1,048,576"),
        (("tasks", "tunes", "words"), "9", 'tunes: .*words must be a whole number, not "9"'),
        (("tasks", "tunes", "encoding"), "remy", "tunes: there is no encoding 'remy'.*did you mean 'remi'"),
        (("tasks", "tunes", "encoding"), DELETED, "tunes: .*encoding is missing"),
        (("tasks", "moods", "values"), ["happy"], "moods: classify mood: needs at least two label values"),
        (("tasks", "moods", "values"), "happy", "moods: .*values must be a list"),
        (("tasks", "tunes"), [], "tasks.tunes must be an object"),
        (("feature_lengths",), DELETED, "does not say the lengths of inputs and targets"),
        (("feature_lengths", "targets"), DELETED, "does not say the lengths of inputs and targets"),
        (("vocabulary", "fingerprint"), "f" * 64, "trained with another vocabulary: its fingerprint is ffff"),
    ],
)
def test_tasks_that_cannot_be_are_refused(run, tmp_path, path, value, message):
    shutil.copytree(run, tmp_path / "run")
    change(tmp_path / "run", *path, value=value)
    with pytest.raises(CheckpointError, match=message) as error:
        trained_model.load(tmp_path / "run")
    assert str(tmp_path / "run") in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_mutated_folders_are_loaded_or_refused(run, exported, data):
    with tempfile.TemporaryDirectory() as place:
        if data.draw(st.booleans()):
            folder = Path(shutil.copytree(run, Path(place) / "run"))
            file = folder / METADATA
        else:
            folder = Path(shutil.copytree(exported, Path(place) / "exported"))
            file = folder / data.draw(st.sampled_from(["config.json", "t5music.json"]))
        file.write_text(data.draw(mutated(json.loads(file.read_text()))))
        if folder.name == "run":
            digests.seal(folder / "checkpoints" / "1")
        assert "\n" not in refusal(lambda: trained_model.load(folder))


def test_a_read_only_run_is_evaluated_and_generated_from(run, capsys):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        shutil.copytree(run, root / "run")
        midi.write(tiny_models.band(bars=2), root / "song.mid")
        features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
        ids = default().event_ids("remi")[:9]
        with StoreWriter(
            root / "data" / "stores" / "tunes",
            features=features,
            vocabulary=default(),
            encoding="remi",
            examples=to_config(TASKS["tunes"]),
        ) as writer:
            for split in ("train", "validation"):
                writer.write(split, {"inputs": ids, "targets": ids}, notes=2)
        (root / "music").mkdir()
        output = root / "music" / "out.mid"
        commands = (
            ["eval", "tunes", "--model_dir", str(root / "run"), "--data_dir", str(root / "data")],
            ["generate", str(root / "song.mid"), "--model_dir", str(root / "run"), "--output", str(output)],
        )
        for command in commands:  # first with all rights: the other user may not be able to import what this needs
            assert main(command) == 0
        music = output.read_bytes()
        shutil.rmtree(root / "music")
        (root / "run" / "eval_validation.json").unlink()
        for path in (root / "run", *(root / "run").rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        root.chmod(0o777)
        capsys.readouterr()
        with unprivileged():
            (root / "music").mkdir()
            for command in commands:
                assert main(command) == 0
        assert output.read_bytes() == music
        told = capsys.readouterr()
        assert "tunes (validation): loss" in told.out
        assert f"cannot write {root}/run/eval_validation.json: Permission denied; it is not kept" in told.err
        for path in (root / "run", *(root / "run").rglob("*")):
            path.chmod(0o755)


class unprivileged:  # noqa: N801
    """Gives up the superuser's rights, with which everything can be read and written."""

    def __enter__(self) -> None:
        self._user = os.geteuid()
        if self._user == 0:
            os.seteuid(65534)

    def __exit__(self, *error) -> None:
        os.seteuid(self._user)
