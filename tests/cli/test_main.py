"""The command line as its users would use it: a folder of MIDI files to a trained model and back to music.

One tiny flow is run once; everything else looks at what it left or gives it bad input.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lock_holders import other_process

from t5music.cli.main import main
from t5music.music import midi
from t5music.music.score import METER, NOTE, Score

pytest.importorskip("seqio")

MODEL = ["--gin_file=models/t5_1_1/tiny.gin"]
MODEL += ["--gin.T5Config.num_encoder_layers=1", "--gin.T5Config.num_decoder_layers=1"]
TINY = ["--gin_file=runs/train.gin", *MODEL]
LENGTHS = '--gin.TASK_FEATURE_LENGTHS={"inputs": 320, "targets": 320}'


def tune(seed: int, low: int) -> Score:
    """Sixteen bars of a random walk in quarters and eighths."""
    rng = np.random.default_rng(seed)
    onsets = np.cumsum(rng.choice([240, 480], 80)) - 240
    pitches = low + np.abs(np.cumsum(rng.integers(-3, 4, 80))) % 20
    notes = np.zeros(80, NOTE)
    notes["onset"], notes["duration"], notes["pitch"] = onsets, 240, pitches
    notes["velocity"], notes["program"] = 80, 0
    return Score(480, notes, meters=np.array([(0, 4, 4)], METER), track_names=("tune",))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with music/{high,low}/*.mid, compiled, and a model trained for a few steps."""
    root = tmp_path_factory.mktemp("cli")
    for index in range(12):
        kind, low = ("high", 72) if index % 2 else ("low", 40)
        midi.write(tune(index, low), root / "music" / kind / f"{index}.mid")
    (root / "music" / "low" / "broken.mid").write_bytes(b"MThd, but not really")
    os.environ["T5MUSIC_DATA"] = str(root / "data")
    folders = ["--name", "mine", "--labels", "folders"]
    assert main(["compile", "--midi", str(root / "music"), *folders, *data_dir(root)]) == 0
    arguments = ["mine", "--model_dir", str(root / "run"), "--steps", "6", *TINY, LENGTHS, *data_dir(root)]
    assert main(["train", *arguments, "--gin.Records.log_period=2", "--gin.Records.save_period=3"]) == 0
    return root


def data_dir(root: Path) -> list[str]:
    return ["--data_dir", str(root / "data")]


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a command that must fail as a mistake of the input: status 2 and one line; returns the line."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "t5music: error: " in line]
    assert len(lines) == 1
    return lines[0]


def test_compile_reports_what_it_skipped(place: Path, capsys: pytest.CaptureFixture[str]):
    report = json.loads(next((place / "data" / "corpora" / "mine").glob("*/metadata.json")).read_text())
    assert list(report["skipped"]) == ["low/broken.mid"]
    assert sum(report["pieces"].values()) == 12
    manifest = json.loads((place / "data" / "stores" / "mine_classify" / "manifest.json").read_text())
    assert manifest["labels"] == ["high", "low"]
    assert set(manifest["splits"]) == {"train", "validation", "test"}


def test_training_leaves_a_run_that_can_be_read(place: Path):
    run = place / "run"
    assert (run / "checkpoints" / "6").is_dir()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6]
    config = (run / "config.gin").read_text()
    assert "train.train_steps = %TRAIN_STEPS" in config
    assert "TRAIN_STEPS = 6" in config
    assert list(run.glob("events.out.tfevents.*"))


def test_fine_tuning_starts_from_another_run(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start = ["--init", str(place / "run"), "--model_dir", str(tmp_path / "tuned"), "--steps", "2", *data_dir(place)]
    assert main(["train", "mine_span_corruption", *start, "--batch_size", "2", LENGTHS]) == 0
    assert not (tmp_path / "tuned" / "samples").exists(), "the task writes no music"
    config = (tmp_path / "tuned" / "config.gin").read_text()
    assert f"INITIAL_CHECKPOINT_PATH = '{place / 'run'}'" in config
    assert (tmp_path / "tuned" / "checkpoints" / "2").is_dir()
    nowhere = ["--init", str(tmp_path / "nowhere"), "--model_dir", str(tmp_path / "other"), *data_dir(place)]
    assert "no checkpoint at" in error(capsys, "train", "mine", *nowhere)


@pytest.mark.slow
def test_an_exported_model_serves_where_a_run_does(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    model, source = str(tmp_path / "model"), str(place / "music" / "high" / "1.mid")
    run = ["--model_dir", str(place / "run"), "--checkpoint", "3"]
    assert main(["export", *run, "--to", model, *data_dir(place)]) == 0
    sampling = ["--task", "continue", "--words", "8", *data_dir(place)]
    assert main(["generate", source, *run, "--output", "ours.mid", *sampling]) == 0
    assert main(["generate", source, "--model_dir", model, "--output", "theirs.mid", *sampling]) == 0
    assert (tmp_path / "ours.mid").read_bytes() == (tmp_path / "theirs.mid").read_bytes()
    restore = ["--gin.InitialModel.restore=['encoder.*']", "--gin_file=runs/finetune.gin", *MODEL]
    capsys.readouterr()
    start = ["train", "mine", "--init", model, "--model_dir", "started", "--steps", "1"]
    assert main([*start, *restore, LENGTHS, *data_dir(place)]) == 0
    assert "restored     encoder.norm.scale" in capsys.readouterr().err
    assert main([*start[:4], "--model_dir", "whole", "--steps", "1", LENGTHS, *data_dir(place)]) == 0
    assert "all weights kept" in capsys.readouterr().err


def test_eval_writes_metrics_beside_baselines(place: Path):
    arguments = ["mine", "--model_dir", str(place / "run"), "--split", "test", *data_dir(place)]
    assert main(["eval", *arguments, "--gin.evaluate.samples=1"]) == 0
    found = json.loads((place / "run" / "eval_test.json").read_text())
    assert set(found) == {"mine_continue", "mine_infill", "mine_classify"}
    music = found["mine_continue"]
    assert 0 < music["unigram_bits_per_note"] < music["uniform_bits_per_note"]
    assert music["notes"] > 0
    assert 0 <= found["mine_classify"]["accuracy"] <= 1
    assert "answer:" in (place / "run" / "samples_test.txt").read_text()


def test_generate_writes_playable_music_and_a_picture(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, output = place / "music" / "high" / "1.mid", tmp_path / "out.mid"
    command = ["generate", str(source), "--model_dir", str(place / "run"), "--output", str(output), "--force"]
    assert main([*command, "--seed", "3"]) == 0
    assert "(0 words mended)" in capsys.readouterr().out
    first = output.read_bytes()
    score = midi.read(output)
    given = midi.read(source)
    assert len(score.notes) >= len(given.notes)
    assert (tmp_path / "out_roll.svg").read_text().startswith("<svg ")
    assert main([*command, "--seed", "3"]) == 0
    assert output.read_bytes() == first, "the same seed gives the same music"
    assert main([*command, "--seed", "4"]) == 0
    assert output.read_bytes() != first


def test_a_gap_is_filled_in_and_all_else_stays(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, output = place / "music" / "high" / "1.mid", tmp_path / "out.mid"
    run = ["--model_dir", str(place / "run"), "--output", str(output), "--force"]
    assert main(["generate", str(source), *run, "--task", "infill", "--region", "4", "8"]) == 0
    given, made = midi.read(source), midi.read(output)

    def outside(score: Score) -> set[tuple[float, int]]:
        """(quarter, pitch); at 120 a minute the gap is the 8th to the 16th, and the model may change the tempo."""
        quarters = score.notes["onset"] / score.ticks_per_quarter
        kept = (quarters < 8) | (quarters >= 16)
        return set(zip(quarters[kept].tolist(), score.notes["pitch"][kept].tolist(), strict=True))

    assert outside(given) == outside(made), "all else stays where it was"
    assert "--region does not go with continue" in error(
        capsys, "generate", str(source), *run, "--task", "continue", "--region", "4", "8"
    )
    assert "--caption does not go with infill" in error(
        capsys, "generate", str(source), *run, "--task", "infill", "--caption", "x"
    )
    assert "continue needs a MIDI file" in error(capsys, "generate", *run, "--task", "continue")


def test_leakage_compares_what_was_built(place: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["leakage", "mine", "mine_continue:test", *data_dir(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("mine:train and mine:test: 0 of ") for line in lines)
    assert any(line.startswith("mine:train and mine_continue:test: 0 of ") for line in lines)
    assert "neither a built corpus nor" in error(capsys, "leakage", "none", *data_dir(place))


def test_a_corpus_is_built_from_what_is_at_hand(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, index in (("rock", 0), ("jazz", 1), ("jazz", 2)):
        folder = tmp_path / "adl-piano-midi" / name.title() / "Sub" / "Artist"
        midi.write(tune(index, 50), folder / f"Song {index}.mid")
    there = data_dir(tmp_path)
    assert main(["corpora", "--build", "adl_piano", "--from", str(tmp_path), *there]) == 0
    assert "1 train, 1 validation, 1 test (3 groups, 0 near-duplicates)" in capsys.readouterr().out
    assert main(["corpora", *there]) == 0
    assert "built: 1 train, 1 validation, 1 test" in capsys.readouterr().out
    assert "--accept_licence" in error(capsys, "corpora", "--build", "maestro", *there)
    assert "is not maestro" in error(capsys, "corpora", "--build", "maestro", "--from", str(tmp_path / "data"), *there)


def test_classify_prints_probabilities(place: Path, capsys: pytest.CaptureFixture[str]):
    source = place / "music" / "low" / "0.mid"
    assert main(["classify", str(source), "--model_dir", str(place / "run")]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{source}: folder: ")
    shares = [float(word.rstrip("%")) for word in line.split() if word.endswith("%")]
    assert len(shares) == 2
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_a_finished_run_called_again_does_nothing_and_another_config_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    before = (place / "run" / "metrics.jsonl").read_bytes()
    config = (place / "run" / "config.gin").read_bytes()
    arguments = ["mine", "--model_dir", str(place / "run"), "--steps", "6", *TINY, LENGTHS, *data_dir(place)]
    assert main(["train", *arguments, "--gin.Records.log_period=2", "--gin.Records.save_period=3"]) == 0
    assert (place / "run" / "metrics.jsonl").read_bytes() == before
    message = error(capsys, "train", *arguments, "--gin.T5Config.d_ff=96")
    assert "d_ff is 64 there and 96 here" in message
    assert (place / "run" / "config.gin").read_bytes() == config, "what is refused leaves no trace"


def test_a_second_train_in_a_folder_is_told_who_is_there_and_changes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
):
    run = place / "run"
    with other_process(run / ".lock") as other:
        before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
        arguments = ["mine", "--model_dir", str(run), "--steps", "9", *TINY, LENGTHS, *data_dir(place)]
        message = error(capsys, "train", *arguments)
        assert f"{run} is being written by process {other.pid} on " in message
        assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_training_leaves_a_picture_of_its_losses_and_samples_of_its_music(place: Path):
    assert (place / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    samples = {path.name for path in (place / "run" / "samples").iterdir() if "tfevents" not in path.name}
    assert samples == {"mine_continue_000006.mid", "mine_continue_000006.svg"}
    assert len(midi.read(place / "run" / "samples" / "mine_continue_000006.mid").notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"<html>not music</html>", "MIDI"), (b"MThd\0\0\0\6\0\0\0\0\0\x60", "no")],
)
def test_bad_files(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str):
    bad = tmp_path / "bad.mid"
    bad.write_bytes(content)
    line = error(capsys, "generate", str(bad), "--model_dir", str(place / "run"), "--output", str(tmp_path / "o.mid"))
    assert str(bad) in line
    assert message in line
    assert not (tmp_path / "o.mid").exists()


def test_other_bad_input(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    missing = tmp_path / "missing.mid"
    run = ["--model_dir", str(place / "run")]
    assert str(missing) in error(capsys, "classify", str(missing), *run)
    song = str(place / "music" / "low" / "0.mid")
    assert "no checkpoint at" in error(capsys, "generate", song, "--model_dir", str(tmp_path / "nothing"))
    assert "did you mean 'mine_continue'" in error(capsys, "generate", song, *run, "--task", "mine_contine")
    assert "is the prompt itself" in error(capsys, "generate", song, *run, "--output", song)
    assert "top_p" in error(capsys, "generate", song, *run, "--top_p", "7", "--output", str(tmp_path / "o.mid"))
    assert "no such folder" in error(capsys, "compile", "--midi", str(tmp_path / "nowhere"), *data_dir(tmp_path))
    (tmp_path / "empty").mkdir()
    assert "no MIDI files" in error(capsys, "compile", "--midi", str(tmp_path / "empty"), *data_dir(tmp_path))
    line = error(capsys, "compile", "bach_chorales_contineu", *data_dir(tmp_path))
    assert "did you mean 'bach_chorales_continue'" in line
    assert "did you mean 'trecento'" in error(capsys, "corpora", "--build", "trecenta", *data_dir(tmp_path))
    assert "takes no gin bindings" in error(capsys, "corpora", "--gin.X=1")


def test_a_folder_without_a_readable_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "a.mid").write_bytes(b"MThd, but not really")
    line = error(capsys, "compile", "--midi", str(folder), "--name", "broken", *data_dir(tmp_path))
    assert "none of its 1 files could be used" in line
    assert not (tmp_path / "data" / "corpora" / "broken").exists()


def test_store_of_another_vocabulary_is_refused(place: Path, capsys: pytest.CaptureFixture[str]):
    from t5music.data.store.token_store import TokenStore
    from t5music.data.vocabulary import default
    from t5music.errors import DataError

    manifest = place / "data" / "stores" / "mine_continue" / "manifest.json"
    good = manifest.read_text()
    try:
        manifest.write_text(good.replace(default().fingerprint, "0" * 64))
        with pytest.raises(DataError, match=f"0000.*{default().fingerprint[:8]}"):
            TokenStore.open(manifest.parent, default())
    finally:
        manifest.write_text(good)


@pytest.mark.slow
def test_two_that_compile_the_same_at_once_make_one_store(place: Path, tmp_path: Path):
    """One of four is killed at work; the others go on, one after the other, and the store is that of one compile."""
    folders = ["--midi", str(place / "music"), "--name", "mine", "--labels", "folders", "--workers", "1"]
    command = [sys.executable, "-m", "t5music", "compile", *folders, *data_dir(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "data").glob("corpora/.mine.*/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    time.sleep(1)
    first.kill()
    first.communicate()
    texts = [process.communicate(timeout=600)[1] for process in others]
    assert [process.returncode for process in others] == [0, 0, 0], texts
    assert any("waiting for process" in text for text in texts)
    stores, expected = tmp_path / "data" / "stores", place / "data" / "stores"
    assert sorted(path.name for path in stores.iterdir()) == sorted(path.name for path in expected.iterdir())
    for path in expected.glob("mine_*/*"):
        assert (stores / path.relative_to(expected)).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_interrupting_and_starting_again_is_as_if_nothing_had_happened(place: Path, tmp_path: Path):
    def command(run: str) -> list[str]:
        options = ["--model_dir", str(tmp_path / run), "--steps", "60", *TINY, LENGTHS, *data_dir(place)]
        return [sys.executable, "-m", "t5music", "train", "mine", *options, "--gin.Records.save_period=10"]

    subprocess.run(command("whole"), check=True, capture_output=True)
    with subprocess.Popen(command("cut"), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "cut" / "checkpoints").glob("10")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert "the same command continues" in process.communicate()[1]
    assert process.returncode == 130
    subprocess.run(command("cut"), check=True, capture_output=True)
    assert (tmp_path / "cut" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
