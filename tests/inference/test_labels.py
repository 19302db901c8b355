"""Labels of one's own music: probabilities are what they say, every note gets one label, and the verbs show it."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from flax import nnx
from scipy import special

from t5music.cli.main import main
from t5music.data.answer_formats import PerNote
from t5music.data.examples import Classify, ClassifyKey, LabelNotes, Pieces
from t5music.data.vocabulary import EOS_ID, ROLES, default
from t5music.errors import ConfigError, MidiError
from t5music.inference import labels, trained_model
from t5music.inference.trained_model import TrainedModel
from t5music.music import midi
from t5music.music.note_classes import POP909_TRACKS
from t5music.music.score import DRUMS, NOTE, Score

KIND = Classify("mood", ("calm", "merry", "grave"), "remi", words=64)
MELODY = LabelNotes("melody", words=64)
TASKS = {
    "small_mood": KIND,
    "tunes_key": ClassifyKey(words=64),
    "pop909_melody": MELODY,
    "pop909_velocity": LabelNotes("velocity", words=64),
}


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return tiny_models.trained(TASKS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.write_run(tmp_path_factory.mktemp("run"), TASKS))


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of music in the folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    midi.write(tiny_models.band(), "song.mid")
    return "song.mid"


def classifier(logits_of, tasks) -> TrainedModel:
    """A stand-in for an encoder with a head: `logits_of` of its tokens [batch, source] are what it says."""

    class Stub(nnx.Module):
        config = SimpleNamespace(architecture="encoder")

        def __call__(self, tokens: jax.Array, decoder_input_tokens: None) -> jax.Array:
            return logits_of(tokens)

    return TrainedModel(Stub(), default(), tasks, dict(tiny_models.LENGTHS))


# --------------------------------------------------------------------------------------------------- asking the model


def test_probabilities_are_those_of_the_label_s_tokens_forced_on_the_decoder(trained: TrainedModel):
    score = tiny_models.band()
    found = labels.piece_probabilities(trained, KIND, score, "song")
    prompts = trained_model.encode_prompts(trained, KIND.prompts(score), "song")
    assert len(prompts) > 1
    logits_of = nnx.jit(lambda model, *tokens: model(*tokens))
    likelihoods = []
    for value in KIND.values:
        targets = np.zeros((len(prompts), 8), np.int32)
        said = np.append(default().encode(value), EOS_ID)
        targets[:, : len(said)] = said
        chances = jax.nn.log_softmax(logits_of(trained.model, prompts, np.pad(targets, ((0, 0), (1, 0)))[:, :-1]))
        each = np.take_along_axis(np.asarray(chances), targets[..., None], 2)[:, : len(said)]
        likelihoods.append(each.sum(axis=(1, 2)))
    weights = np.exp(np.mean(likelihoods, axis=1))
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-4)


def test_a_classifier_s_probabilities_are_averaged_over_segments():
    """Over all of them, also where there are more than are answered at a time."""

    def logits_of(tokens: jax.Array) -> jax.Array:  # the more notes, the merrier
        notes = jnp.asarray(default().is_note)[tokens].sum(axis=1)
        return jnp.stack([jnp.zeros(len(tokens)), notes / 7, jnp.ones(len(tokens))], axis=-1)[:, None]

    score, every = tiny_models.band(bars=60), replace(KIND, segments=None)
    notes = np.array([prompt.count("Pitch") + prompt.count("Drum") for prompt in every.prompts(score)])
    assert len(notes) > labels.WINDOWS
    likelihoods = special.log_softmax(np.stack([0 * notes, notes / 7, 0 * notes + 1], axis=1), axis=1)
    found = labels.piece_probabilities(classifier(logits_of, {"small_mood": every}), every, score, "song")
    np.testing.assert_allclose(found, special.softmax(likelihoods.mean(axis=0)), rtol=1e-5)


@pytest.mark.parametrize("bars", [8, 60])
def test_every_note_gets_exactly_one_label(trained: TrainedModel, bars: int):
    """Also where there are more windows than are answered at a time."""
    score = tiny_models.band(bars=bars)
    classes = labels.note_classes(trained, MELODY, score, "song")
    drums = score.notes["program"] == DRUMS
    assert classes.shape == (len(score.notes),)
    assert (classes[drums] == -1).all()
    assert set(classes[~drums].tolist()) <= {0, 1, 2}
    if bars == 60:
        assert len(MELODY.prompts(score)) > labels.WINDOWS
        assert len(set(classes[~drums].tolist())) > 1  # random weights do not agree


def test_answers_are_the_likeliest_legal_words(trained: TrainedModel):
    score = tiny_models.band()
    tokens = trained_model.encode_prompts(trained, MELODY.prompts(score), "song")
    notes = [row[default().is_note[row]] for row in tokens]
    most = max(map(len, notes))
    legal = np.array([default().encode(word)[0] for word in ROLES])
    written = np.zeros((len(tokens), 2 * most + 1), np.int32)  # what was written before each word, then the word
    for row, own in zip(written, notes, strict=True):
        row[1 : 2 * len(own) : 2] = own
    logits_of = nnx.jit(lambda model, *tokens: model(*tokens))
    for step in range(1, 2 * most, 2):
        logits = np.asarray(logits_of(trained.model, tokens, written))[:, step]
        written[:, step + 1] = legal[logits[:, legal].argmax(axis=1)]
    answers = [row[1 : 1 + 2 * len(own)] for row, own in zip(written, notes, strict=True)]
    assert (PerNote(default(), ROLES).check(tokens, answers) == -1).all()
    expected = MELODY.classes(score, [default().decode(answer) for answer in answers])
    assert np.array_equal(labels.note_classes(trained, MELODY, score, "song"), expected)


@pytest.mark.parametrize("wide", [replace(MELODY, words=480), replace(MELODY, notes=48)])
def test_windows_are_shorter_where_the_model_has_less_room(trained: TrainedModel, wide: LabelNotes):
    score = tiny_models.band()
    assert max(len(default().encode(prompt)) for prompt in wide.prompts(score)) > tiny_models.LENGTHS["inputs"]
    classes = labels.note_classes(trained, wide, score, "song")
    assert (classes >= 0).sum() == (score.notes["program"] != DRUMS).sum()


def test_a_classifier_s_classes_are_read_at_note_words():
    def logits_of(tokens: jax.Array) -> jax.Array:  # above middle C is melody, all else accompaniment
        high = jnp.isin(tokens, jnp.asarray([default().encode(f"Pitch_{pitch}")[0] for pitch in range(60, 128)]))
        return jnp.stack([high, jnp.zeros_like(high), ~high], axis=-1).astype(jnp.float32)

    score = tiny_models.band(bars=60)
    found = labels.note_classes(classifier(logits_of, {"pop909_melody": MELODY}), MELODY, score, "song")
    drums, high = score.notes["program"] == DRUMS, score.notes["pitch"] >= 60
    assert np.array_equal(found, np.where(drums, -1, np.where(high, 0, 2)))


def test_a_run_of_a_classifier_labels_notes(song: str, tmp_path: Path):
    config = replace(tiny_models.CONFIG, architecture="encoder", num_decoder_layers=0, head="notes", num_labels=3)
    run = str(tiny_models.write_run(tmp_path / "run", {"pop909_melody": MELODY}, config=config))
    assert main(["label", song, "--model_dir", run]) == 0
    made = midi.read("song_melody.mid")
    model, score = trained_model.load(run), midi.read(song)
    tokens = trained_model.encode_prompts(model, MELODY.prompts(score), song)
    likeliest = nnx.jit(lambda model, tokens: model(tokens, None))(model.model, tokens).argmax(axis=-1)
    answers = [row[is_note] for row, is_note in zip(np.asarray(likeliest), default().is_note[tokens], strict=True)]
    classes = MELODY.classes(score, [" ".join(ROLES[index] for index in row) for row in answers])
    counts = {name: int((classes == index).sum()) for index, name in enumerate(POP909_TRACKS)}
    pitched = made.notes["track"][made.notes["program"] != DRUMS].tolist()
    assert Counter(made.track_names[track] for track in pitched) == {name: n for name, n in counts.items() if n}


def test_music_with_nothing_to_label_is_refused_by_name(trained: TrainedModel):
    drums = Score(480, np.array([(0, 1, 38, 90, DRUMS, 0)], NOTE))
    with pytest.raises(MidiError, match="groove: no pitched notes"):
        labels.note_classes(trained, MELODY, drums, "groove")
    with pytest.raises(MidiError, match="silence: there are no notes to classify by mood"):
        labels.piece_probabilities(trained, KIND, Score(480, np.empty(0, NOTE)), "silence")


def test_tasks_are_chosen_by_name_label_or_kind(trained: TrainedModel):
    def chosen(name: str | None, kind: type = Classify):
        return trained_model.choose_task(trained, name, kind, "run")

    assert chosen(None) == chosen("mood") == chosen("small_mood") == chosen("classify") == KIND
    assert chosen("key") == chosen("tunes_key") == chosen("classify_key") == TASKS["tunes_key"]
    assert chosen("velocity", LabelNotes) == TASKS["pop909_velocity"]
    named = replace(trained, tasks={"small_style": KIND, "mood": TASKS["tunes_key"]})
    assert trained_model.choose_task(named, "mood", Classify, "run") == TASKS["tunes_key"]  # its name before a label
    there = r"tasks to classify \(small_mood \(mood\), tunes_key \(key\)\); did you mean 'mood'"
    with pytest.raises(ConfigError, match=rf"--task moods: not one of this model's {there}"):
        chosen("moods")
    music = replace(trained, tasks={"tunes": Pieces("remi")})
    with pytest.raises(ConfigError, match=r"run was not trained on a task to label notes \(its tasks: tunes\)"):
        trained_model.choose_task(music, None, LabelNotes, "run")


# ---------------------------------------------------------------------------------------------------------- the verbs


def test_classify_prints_a_line_for_each_file_and_writes_a_table(song: str, run: str, capsys):
    midi.write(tiny_models.band(1), "other.mid")
    assert main(["classify", song, "other.mid", "--model_dir", run, "--task", "mood", "--csv", "labels.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    with open("labels.csv", newline="") as content:
        rows = list(csv.DictReader(content))
    for name, line, row in zip((song, "other.mid"), lines, rows, strict=True):
        assert line.startswith(f"{name}: mood: {row['mood']} ")
        assert list(row) == ["file", "mood", *KIND.values, "left_out"]
        assert row["left_out"] == ""
        shares = {value: float(row[value]) for value in KIND.values}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert max(shares, key=lambda value: shares[value]) == row["mood"]
        assert all(f"{value} {share:.1%}" in line for value, share in shares.items())


def test_label_writes_the_parts_and_a_picture_of_them(song: str, run: str, capsys):
    given = midi.read(song)
    assert main(["label", song, "--model_dir", run]) == 0
    line, _ = capsys.readouterr().out.splitlines()
    made = midi.read("song_melody.mid")
    assert set(made.track_names) <= set(POP909_TRACKS)
    places = [Counter(zip(score.notes["onset"].tolist(), score.notes["pitch"].tolist(), strict=True))
              for score in (given, made)]  # fmt: skip
    assert places[0] == places[1]
    counts = dict(part.rsplit(" ", 1) for part in line.removeprefix("song_melody.mid: ").split(", "))
    pitched = made.notes["program"] != DRUMS
    tracks = Counter(made.track_names[track] for track in made.notes["track"][pitched].tolist())
    assert counts.pop("percussion") == str((~pitched).sum())
    assert {("PIANO" if name == "accompaniment" else name.upper()): int(n) for name, n in counts.items()} == tracks
    picture = Path("song_melody_roll.svg").read_text()
    for name, colour in zip(("melody", "bridge", "accompaniment"), labels._COLOURS["melody"], strict=True):
        assert (f'z" fill="{colour}"' in picture) == (name in counts)


def test_label_writes_velocities_where_it_is_told_to(song: str, run: str, capsys):
    assert main(["label", song, "--model_dir", run, "--task", "velocity", "--output", "loud/out.mid"]) == 0
    given, made = midi.read(song), midi.read("loud/out.mid")
    assert np.array_equal(made.notes["pitch"], given.notes["pitch"])
    pitched = made.notes["program"] != DRUMS
    assert set(made.notes["velocity"][pitched].tolist()) <= {16, 40, 56, 72, 88, 112}
    assert Path("loud/out_roll.svg").is_file()
    assert main(["label", song, "--model_dir", run, "--output", song]) == 2
    assert "is the prompt itself" in capsys.readouterr().err
    command = ["label", song, "--model_dir", run, "--task", "velocity", "--output"]
    assert main([*command, "loud/out.mid"]) == 2
    assert "loud/out.mid exists: choose another name by --output" in capsys.readouterr().err
    assert main([*command, "loud/out.mid", "--force"]) == 0
    assert main([*command, "loud/out.wav"]) == 2
    assert "its name must end in .mid, .midi, .musicxml" in capsys.readouterr().err


def bad_files() -> dict[str, str]:
    """Writes files that cannot be labelled; returns them with what is said of them."""
    Path("bad.mid").write_bytes(b"<html>no music</html>")
    os.mkfifo("pipe.mid")
    Path("folder.mid").mkdir()
    midi.write(Score(480, np.array([(0, 1, 38, 90, DRUMS, 0)], NOTE)), "groove.mid")
    return {
        "bad.mid": "not a standard MIDI file but a web page: there is no MIDI header in it",
        "pipe.mid": "cannot be read: it is a pipe, not a file",
        "folder.mid": "is a folder, not a MIDI file",
        "none.mid": "no such file",
    }


def test_one_bad_file_stops_no_others(song: str, run: str, capsys):
    """They are named on stderr and in the table, and counted."""
    bad = bad_files()
    latin = os.fsdecode(b"Caf\xe9.mid")
    midi.write(tiny_models.band(1), latin)
    files = [*bad, song, latin]
    assert main(["classify", *files, "--model_dir", run, "--task", "mood", "--csv", "labels.csv"]) == 0
    printed = capsys.readouterr()
    assert [line.partition(": ")[0] for line in printed.out.splitlines()] == [song, r"Caf\xe9.mid"]
    assert main(["classify", song, "--model_dir", run, "--csv", "labels.csv"]) == 2
    assert "labels.csv exists: choose another name by --csv" in capsys.readouterr().err
    told = [f"left out: {name}: {reason}" for name, reason in bad.items()]
    assert printed.err.splitlines() == [*told, "4 of 6 files left out"]
    with open("labels.csv", newline="", encoding="utf-8") as content:
        rows = {row["file"]: row for row in csv.DictReader(content)}
    assert list(rows) == [*bad, song, r"Caf\xe9.mid"]
    for name, reason in bad.items():
        assert [value for column, value in rows[name].items() if column != "file"] == ["", "", "", "", reason]
    assert all(rows[name]["mood"] and not rows[name]["left_out"] for name in (song, r"Caf\xe9.mid"))


def test_where_all_files_are_bad_nothing_is_written(run: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad = bad_files()
    before = sorted(tmp_path.iterdir())
    assert main(["classify", *bad, "--model_dir", run, "--csv", "labels.csv"]) == 2
    assert "error: none of the 4 files could be used (the first: bad.mid: not a standard" in capsys.readouterr().err
    assert main(["classify", "bad.mid", "--model_dir", run]) == 2
    assert capsys.readouterr().err == f"t5music: error: bad.mid: {bad['bad.mid']}\n"
    assert main(["label", "groove.mid", "pipe.mid", "--model_dir", run]) == 2
    assert "none of the 2 files could be used (the first: pipe.mid: " in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_label_takes_several_files(song: str, run: str, capsys):
    bad_files()
    latin = os.fsdecode(b"Caf\xe9.mid")
    midi.write(tiny_models.band(1), latin)
    assert main(["label", song, "bad.mid", "groove.mid", latin, song, "--model_dir", run, "--output", "parts"]) == 0
    printed = capsys.readouterr()
    assert [line.partition(": ")[0] for line in printed.out.splitlines()] == [
        "parts/song_melody.mid",
        "parts/song_melody_roll.svg",
        r"parts/Caf\xe9_melody.mid",
        r"parts/Caf\xe9_melody_roll.svg",
    ]
    assert printed.err.splitlines()[-1] == "2 of 4 files left out"
    assert "left out: groove.mid: no pitched notes" in printed.err
    stems = ("song_melody", os.fsdecode(b"Caf\xe9_melody"))
    assert {path.name for path in Path("parts").iterdir()} == {f"{s}{e}" for s in stems for e in (".mid", "_roll.svg")}


def test_no_file_of_label_replaces_another(song: str, run: str, capsys):
    def error(*arguments: str) -> str:
        assert main(["label", *arguments, "--model_dir", run]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    midi.write(tiny_models.band(1), "deep/song.mid")
    midi.write(tiny_models.band(2), "song_melody.mid")
    before = Path("song_melody.mid").read_bytes()
    assert "song.mid and deep/song.mid would both be written to song_melody.mid" in error(song, "deep/song.mid")
    assert "song_melody.mid is the prompt itself" in error("song_melody.mid", song)
    assert "--output out.mid: of several files it is the folder" in error(song, "deep/song.mid", "--output", "out.mid")
    assert Path("song_melody.mid").read_bytes() == before
