"""`t5music generate`: one's own music comes back whole, with new notes where they were asked for."""

from __future__ import annotations

import io
import re
from pathlib import Path

import mido
import mido_files
import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.cli.main import main
from t5music.corpora.base import Piece
from t5music.data.examples import Accompany, Continue, Improvise, Infill
from t5music.data.examples.classification import evenly
from t5music.errors import ConfigError, MidiError
from t5music.inference import answers, output_files, placement, requests, trained_model
from t5music.model import decoding
from t5music.music import encodings, engraving, midi, music_files, musicxml
from t5music.music.midi.insertion import insert
from t5music.music.score import DRUMS

TASKS = {
    "accompany": Accompany("pop", "remi", ("melody",), bars=4),
    "infill": Infill("pop", "remi", words=300),
    "continue": Continue("pop", "remi", words=300),
    "improvise": Improvise("pop", "remi"),
    "play_on": Continue("piano", "performance", words=300),
    "play_between": Infill("piano", "performance", words=300),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    return str(tiny_models.write_run(tmp_path_factory.mktemp("generate") / "run", TASKS))


@pytest.fixture
def song(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "song.mid").write_bytes(mido_files.drawn_file(0, bars=6))
    return tmp_path / "song.mid"


def assert_whole(given: bytes, result: bytes, region: tuple[float, float] | None = None) -> None:
    """The file's events are all there, but for the notes of a region (seconds)."""
    before, after = mido_files.events(given), mido_files.events(result)
    score = midi.read(given)
    for old, new in zip(before, after[: len(before)], strict=True):
        assert not new - old
        for tick, message in old - new:
            assert region is not None
            assert message.startswith(("note_on", "note_off"))
            if message.startswith("note_on"):
                assert region[0] <= score.seconds(tick) < region[1]
    assert mido_files.stuck_notes(result) == 0
    assert midi.read_mended(result).mended == ()


@pytest.mark.parametrize("task", ["continue", "accompany", "play_on"])
def test_the_persons_events_stay(run, song, task):
    assert main(["generate", str(song), "--model_dir", run, "--task", task, "--output", "out.mid"]) == 0
    data = Path("out.mid").read_bytes()
    assert_whole(song.read_bytes(), data)
    assert data[14 : len(song.read_bytes())] == song.read_bytes()[14:]
    names = [track.name for track in mido.MidiFile(file=io.BytesIO(data)).tracks][5:]
    kind = "accompany" if task == "accompany" else "continue"
    assert names
    assert all(name.startswith(f"t5music {kind}: ") for name in names)
    score, prompt = midi.read(data), midi.read(song)
    new = score.notes[score.notes["track"] >= len(prompt.track_names)]
    assert set(new["program"].tolist()) <= set(prompt.notes["program"].tolist())
    if task != "accompany":
        assert new["onset"].min() >= prompt.notes["onset"].max()


@pytest.mark.parametrize("prompt", ["song.musicxml", "song.mxl"])
def test_a_score_is_a_prompt_and_a_score_is_written(run, song, prompt):
    score = musicxml.read_mended(musicxml.to_bytes(midi.read(song))).score  # on the grid that scores have
    musicxml.write(score, prompt)
    flags = ["--model_dir", run, "--task", "accompany"]
    assert main(["generate", prompt, *flags, "--output", "out.mid"]) == 0
    played = midi.read("out.mid")
    old = played.notes[played.notes["track"] < len(score.track_names)]
    assert old.tolist() == score.notes.tolist()
    assert len(played.notes) > len(old)
    assert main(["generate", prompt, *flags, "--output", "out.musicxml"]) == 0
    written = music_files.read("out.musicxml")
    assert len(written.track_names) == len(played.track_names)
    assert set(written.notes["program"].tolist()) == set(played.notes["program"].tolist())
    assert Path("out.musicxml_roll.svg").is_file()


def test_a_midi_file_may_become_a_score(run, song):
    assert main(["generate", str(song), "--model_dir", run, "--task", "continue", "--output", "out.mxl"]) == 0
    written, prompt = music_files.read("out.mxl"), midi.read(song)
    assert len(written.track_names) > len(prompt.track_names)
    assert written.end_tick / written.ticks_per_quarter > prompt.notes["onset"].max() / prompt.ticks_per_quarter


@pytest.mark.parametrize("task", ["infill", "play_between"])
def test_only_the_region_is_replaced(run, song, task):
    starts, _ = midi.read(song).bars()
    begin, end = midi.read(song).seconds(starts[[2, 3]]).tolist()
    region = ["--region", str(begin), str(end)]
    assert main(["generate", str(song), "--model_dir", run, "--task", task, *region, "--output", "out.mid"]) == 0
    given, data = song.read_bytes(), Path("out.mid").read_bytes()
    assert_whole(given, data, (begin - 0.2, end + 0.2))
    before, score = midi.read(given), midi.read(data)
    old_tracks = len(before.track_names)
    new = score.notes[score.notes["track"] >= old_tracks]
    seconds = score.seconds(new["onset"])
    assert ((seconds >= begin - 0.2) & (seconds < end + 0.2)).all()
    old = score.notes[score.notes["track"] < old_tracks]
    inside = (score.seconds(old["onset"]) > begin + 0.2) & (score.seconds(old["onset"]) < end - 0.2)
    drums = old["program"] == DRUMS
    assert not (inside & ~drums).any()
    assert inside[drums].any() == (task == "play_between")  # performance has no percussion, so it replaces none


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    kind=st.sampled_from([0, 1]),
    resolution=st.sampled_from([96, 480]),
    parts=st.sampled_from([1, 3, 15]),
    task=st.sampled_from(["continue", "infill", "accompany"]),
    region=st.sampled_from([(1.0, 5.0), (3.0, 6.0)]),
)
def test_any_file_comes_back_whole(seed, kind, resolution, parts, task, region):
    """The model's part is played by random words, which is faster than a model and says stranger things."""
    data = mido_files.drawn_file(seed, bars=4, parts=parts + 1, kind=kind, resolution=resolution)
    score = midi.read(data)
    chosen = {"infill": Infill("pop", "remi", words=1200, region=region)}.get(task, TASKS[task])
    rng = np.random.default_rng(seed)
    encoding = encodings.get("remi")
    words = rng.choice(len(encoding.words), 400)
    answers = [np.concatenate([encoding.encode(score)[:40], words]).astype(np.int32) for _ in chosen.prompts(score)]
    music = chosen.music(score, answers)
    placed = placement.place(score, music, encoding)
    inserted = insert(data, placed.notes, label="t5music", removal=placed.removal, name="x")
    wide = None if task != "infill" else (region[0] - 4, region[1] + 4)
    assert_whole(data, inserted.data, wide)
    if task == "infill":
        onsets, removal = score.notes["onset"], placed.removal
        assert removal is not None
        kept = (onsets < removal.first) | (onsets >= removal.last)
        assert kept.sum() == len(music.prompt.notes) or len(music.prompt.notes) <= kept.sum()  # remi unites unisons
        assert (placed.notes["onset"] >= removal.first).all()
        assert (placed.notes["onset"] + placed.notes["duration"] <= max(removal.last, removal.first + 1)).all()


def test_variants_have_names_and_seeds_of_their_own(run, song, capsys):
    command = ["generate", str(song), "--model_dir", run, "--task", "continue"]
    assert main([*command, "--variants", "2", "--seed", "5"]) == 0
    out = capsys.readouterr().out
    seeds = re.findall(
        r"song_continue_(\d)\.mid: .* seed (\d) .*\n  number (\d) of 2: \d+\.\d\d bits per note, \d+%", out
    )
    assert [(number, place) for number, _, place in seeds] == [("1", "1"), ("2", "2")]
    assert {seed for _, seed, _ in seeds} == {"5", "6"}
    assert main([*command, "--seed", seeds[1][1], "--output", "again.mid"]) == 0
    assert Path("again.mid").read_bytes() == Path("song_continue_2.mid").read_bytes()
    assert Path("song_continue_1.mid").read_bytes() != Path("song_continue_2.mid").read_bytes()
    assert Path("song_continue_1_roll.svg").exists()
    assert main([*command, "--variants", "2"]) == 2
    assert "song_continue_1.mid exists" in capsys.readouterr().err
    assert main([*command, "--variants", "2", "--force"]) == 0


def test_instruments_are_those_that_are_allowed(run, song):
    command = ["generate", str(song), "--model_dir", run, "--task", "continue"]
    assert main([*command, "--instruments", "flute", "13", "--output", "out.mid"]) == 0
    score = midi.read("out.mid")
    new = score.notes[score.notes["track"] >= len(midi.read(song).track_names)]
    assert len(new)
    assert set(new["program"].tolist()) <= {73, 13, 75}  # "flute" alone is an instrument's whole name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--words", "0"], "--words must be a whole number of at least 1, not '0'"),
        (["--temperature", "-1"], "--temperature must be a number at least 0, not '-1'"),
        (["--temperature", "nan"], "--temperature must be a number at least 0"),
        (["--top_p", "2"], "--top_p must be a number above 0 and at most 1"),
        (["--top_k", "-1"], "--top_k must be a whole number of at least 0"),
        (["--min_p", "1.5"], "--min_p must be a number at least 0 and at most 1"),
        (["--beams", "17"], "--beams must be a whole number from 1 to 16"),
        (["--guidance", "-1"], "--guidance must be a number at least 0 and at most 10"),
        (["--repeats", "0"], "--repeats must be a whole number from 1 to 100"),
        (["--repeats", "2"], "--repeats means nothing without --repetition_penalty"),
        (["--length_penalty", "1"], "--length_penalty means nothing without --beams"),
        (["--beams", "4", "--temperature", "0.5"], "--temperature does not go with --beams"),
        (["--beams", "4", "--min_p", "0.1"], "--min_p does not go with --beams"),
        (["--beams", "4", "--variants", "2"], "--variants 2 does not go with --beams"),
        (["--seed", str(2**63)], "--seed must be a whole number from 0 to"),
        (["--variants", "0"], "--variants must be a whole number from 1 to"),
        (["--region", "8", "4"], "--region must be BEGIN and END in seconds"),
        (["--instruments", "flut"], None),
        (["--instruments", "kazoo"], "--instruments kazoo: not an instrument"),
        (["--output", "x.doc"], "--output x.doc: its name must end in .mid, .midi"),
        (["--output", "song.mid"], "is the prompt itself"),
        (["--output", "taken.mid"], "taken.mid exists"),
    ],
)
def test_flags_that_cannot_be_are_refused_first(song, tmp_path, capsys, flags, message):
    Path("taken.mid").touch()
    assert main(["generate", "song.mid", "--model_dir", str(tmp_path / "nowhere"), *flags]) == 2
    error = capsys.readouterr().err
    assert (message or "no checkpoint at") in error
    assert error.count("\n") == 1


def test_a_region_is_refused_in_seconds_and_bars():
    score = tiny_models.band(bars=8)  # two seconds a bar
    for region, message in [
        ((1000.0, 2000.0), r"from 1000\.0 to 2000\.0 s is outside the music, which has 8 bars and ends at 1\d\.\d s"),
        ((4.0, 4.5), r"narrower than a bar: bar 3 lasts from 4\.0 to 6\.0 s"),
        ((2.0, 14.0), r"from 2\.0 to 14\.0 s \(bars 2 to 7\) has too many notes .* for example from 2\.0 to \d"),
    ]:
        with pytest.raises(MidiError, match=message):
            Infill("pop", "remi", words=140, region=region).prompts(score)
    assert Infill("pop", "remi", words=140, region=(4.0, 6.0)).prompts(score)


def test_the_task_is_the_one_that_fits():
    trained, score = tiny_models.trained(TASKS), tiny_models.band()
    assert requests.choose(trained, None, "run", score)[0].kind == "continue"
    assert requests.choose(trained, None, "run", score, region=(2.0, 6.0))[0].kind == "infill"
    assert requests.choose(trained, None, "run", None)[0].kind == "improvise"
    with pytest.raises(ConfigError, match="--caption does not go with any of this model's tasks"):
        requests.choose(trained, None, "run", score, caption="x")
    nes = tiny_models.trained({"nes": Continue("nes", "tx1"), "pop": TASKS["continue"]})
    assert requests.choose(nes, None, "run", score)[0] == TASKS["continue"]  # tx1 cannot say this music


def test_prompts_are_made_to_fit_and_it_is_said():
    trained, score = tiny_models.trained(TASKS), tiny_models.band(bars=16)
    room = tiny_models.LENGTHS["inputs"] - 1
    for name in ("continue", "infill", "accompany"):
        task, remarks = requests.fitted(trained, TASKS[name], score, "song.mid")
        prompts = task.prompts(score)
        assert max(len(trained.vocabulary.encode(prompt)) for prompt in prompts) <= room
        if name == "continue":
            assert remarks[0].startswith("song.mid: the model reads the last ")
        if name == "accompany":
            assert remarks == [f"song.mid: accompanied in {len(prompts)} windows of up to {task.bars} bars"]


def test_pictures_collide_with_nothing(tmp_path):
    names = []
    for music in ("a.mid", "a.midi", "a.mid", "a.mid"):
        picture = output_files.picture_path(tmp_path / music, force=False)
        assert not picture.exists()
        picture.touch()
        names.append(picture.name)
    assert names == ["a_roll.svg", "a.midi_roll.svg", "a.mid_roll.svg", "a.mid_roll_2.svg"]
    assert output_files.picture_path(tmp_path / "a.mid", force=True).name == "a_roll.svg"


def test_an_answer_that_fills_its_room_ends_with_a_whole_note():
    trained, score = tiny_models.trained(TASKS), tiny_models.band(bars=2)
    for seed in range(3):
        music = answers.answer(trained, TASKS["improvise"], score, "x", seed=seed, programs=(0, 40))
        assert music.repairs == 0
        assert set(music.score.notes["program"].tolist()) <= {0, 40}
        assert answers.answer(trained, TASKS["continue"], score, "x", seed=seed, words=8).is_new.any()


def test_of_several_styles_the_one_in_which_the_music_is_likeliest(monkeypatch):
    tasks = {style: Continue(style, "remi", words=300) for style in ("lied", "pop", "folk")}
    fill = {"fill": Infill("folk", "remi", words=300)}
    trained, score = tiny_models.trained({**tasks, **fill}), tiny_models.band(bars=24)
    places = []

    def likelihoods(model, rows, answers):  # pop explains what comes next best
        assert (len(rows), len(answers)) == (3, 1)
        places.append(answers.tobytes())
        return np.array([[-9.0], [-1.0], [-9.0]])

    monkeypatch.setattr(requests.decoding, "score", likelihoods)
    chosen, remarks = requests.choose(trained, None, "run", score)
    assert chosen == tasks["pop"]
    assert remarks == ["taken for pop; --style chooses another style: lied, folk"]
    assert len(set(places)) == len(places) == requests.PLACES
    chosen, remarks = requests.choose(trained, "continue", "run", score, style="lied")
    assert (chosen, remarks) == (tasks["lied"], [])
    assert requests.choose(trained, "folk", "run", score) == (tasks["folk"], [])  # a task's full name says its style
    assert requests.choose(trained, "infill", "run", score)[0] == fill["fill"]
    with pytest.raises(ConfigError, match=r"^--style lid: not one of lied, pop, folk; did you mean 'lied'\?"):
        requests.choose(trained, None, "run", score, style="lid")


def test_the_likeliest_style_is_by_the_likelihood_of_what_comes_next():
    tasks = {style: Continue(style, "remi", words=300) for style in ("folk", "pop")}
    trained, score = tiny_models.trained(tasks), tiny_models.band(bars=16)
    totals = {}
    for style in tasks:
        examples = list(Continue(style, "remi", words=requests.STYLE_WORDS).examples(Piece("", score)))
        totals[style] = sum(
            decoding.score(
                trained.model,
                trained_model.encode_prompts(trained, [example.inputs], "x", trim=True),
                trained_model.label_ids(trained.vocabulary, [example.targets]),
            ).item()
            for example in evenly(examples, requests.PLACES)
        )
    assert requests.choose(trained, None, "run", score)[0].style == max(totals, key=totals.get)


@pytest.mark.skipif(not engraving.is_installed(), reason="Verovio is not installed")
@pytest.mark.parametrize("name", ["out.svg", "out.pdf"])
def test_sheet_music_lies_beside_midi(run, song, name, capsys):
    flags = ["--model_dir", run, "--task", "continue", "--words", "16", "--variants", "2", "--output", name]
    assert main(["generate", str(song), *flags]) == 0
    suffix = name[-4:]
    names = [f"out_{number}{ending}" for number in (1, 2) for ending in (".mid", suffix, "_roll.svg")]
    assert sorted(path.name for path in song.parent.glob("out*")) == sorted(names)
    assert f"out_1{suffix}: sheet music" in capsys.readouterr().out
    assert main(["generate", str(song), *flags]) == 2
    assert "exists" in capsys.readouterr().err
