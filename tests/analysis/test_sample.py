"""The stage `sample`, on a language model of random weights."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.analysis import sample as sampling
from t5music.configuration import gin_files, registry
from t5music.data import examples, mixing_rates
from t5music.data.examples import Continue, Examples, Improvise, Pieces
from t5music.data.objectives import Objective, SpanCorruption
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, write_mixture
from t5music.data.vocabulary import default
from t5music.errors import ConfigError, DataError
from t5music.model import parameters
from t5music.model.config import LANGUAGE_MODEL, T5Config
from t5music.music import encodings, midi
from t5music.music.score import NOTE, Score
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import TrainState

PERFORMANCE = encodings.get("performance")
CONFIG = T5Config(
    vocab_size=default().rows, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_encoder_layers=0, num_decoder_layers=1,
    dropout_rate=0.0, architecture=LANGUAGE_MODEL,
)  # fmt: skip
NOISE = (SelectRandomChunk(), SpanCorruption())
PIECES, PROMPT, WORDS = 6, 16, 24
TASKS: dict[str, tuple[Examples, tuple[Objective, ...]]] = {
    "jazz": (Pieces("performance", 64), (SelectRandomChunk(), LanguageModel())),
    "pop": (Pieces("performance", 64), (SelectRandomChunk(), LanguageModel())),
    "noise": (Pieces("performance", 64), NOISE),
    "jazz_continue": (Continue("jazz", "performance", 32), ()),
    "jazz_improvise": (Improvise("jazz", "performance", 32), ()),
}


def piece(number: int) -> np.ndarray:
    """The events of a melody."""
    notes = np.zeros(40, NOTE)
    notes["onset"] = np.arange(40) * 240
    notes["pitch"] = np.random.default_rng(number).integers(48, 80, 40)
    notes["duration"], notes["velocity"] = 200, 64
    return PERFORMANCE.encode(Score(480, notes))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores, and a run."""
    folder, vocab = tmp_path_factory.mktemp("sampling"), default()
    features = {name: FeatureSpec("tokens", True) for name in ("inputs", "targets")}
    for name, (asked, steps) in TASKS.items():
        with StoreWriter(
            folder / "stores" / name,
            features={**features, "piece": FeatureSpec("text", add_eos=False)},
            vocabulary=vocab,
            encoding="performance",
            objectives=steps,
            examples=examples.to_config(asked),
        ) as writer:
            ids = vocab.event_ids("performance")
            for number in range(PIECES):
                events = piece(number)
                for part in (events[:8], events):  # the first is too short to go on from
                    text = {"jazz_improvise": "improvise jazz"}.get(name, "continue jazz: ")
                    heard = vocab.encode(text) if not steps else np.empty(0, np.int32)
                    if name == "jazz_continue":
                        heard = np.append(heard, ids[events[:PROMPT]]).astype(np.int32)
                        part = events[PROMPT:]
                    writer.write("test", {"inputs": heard, "targets": ids[part], "piece": f"piece {number}"}, notes=1)
    write_mixture(folder / "stores", "jazz_pop", {"jazz": mixing_rates.EQUAL, "pop": mixing_rates.EQUAL})
    write_mixture(
        folder / "stores", "asked", {"jazz_continue": mixing_rates.EQUAL, "jazz_improvise": mixing_rates.EQUAL}
    )
    _, params = parameters.initialise(CONFIG, jax.random.key(1))
    metadata = {
        "config": CONFIG.to_dict(),
        "vocabulary": {"fingerprint": vocab.fingerprint, "size": vocab.size},
        "tasks": {},
        "feature_lengths": {"inputs": 2, "targets": 62},
    }
    checkpoints = Checkpoints(folder / "run")
    state = TrainState(np.asarray(1), nnx.to_pure_dict(params), (), np.zeros(2), np.zeros(1))
    checkpoints.save(state, {}, metadata, best_step=1)
    checkpoints.close()
    return folder


@pytest.fixture(autouse=True)
def data_dir(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stores are looked for."""
    monkeypatch.setenv("T5MUSIC_DATA", str(root))


def sample(root: Path, output: Path, task: str, **more: object) -> dict[str, dict[str, float]]:
    """Through gin, as a study calls it."""
    arguments = {"mixture_or_task_name": task, "model_dir": str(root / "run"), "output_dir": str(output)}
    arguments |= {"count": 2, "prompt_words": PROMPT, "words": WORDS, **more}
    gin_files.configure([], [f"sample.{name} = {value!r}" for name, value in arguments.items()])
    return registry.STAGES["sample"]()


@pytest.fixture(scope="module")
def sampled(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(root))
        folder = tmp_path_factory.mktemp("samples")
        return folder, sample(root, folder, "jazz_pop")


def test_a_language_model_improvises_and_goes_on(sampled):
    folder, groups = sampled
    assert list(groups) == ["improv_performance", "held_out_jazz", "primed_jazz", "primed_pop", "held_out_pop"]
    names = {f"{group}_{number}" for group in groups if "held_out" not in group for number in (1, 2)}
    assert {path.stem for path in folder.glob("*.mid")} == {path.stem for path in folder.glob("*.svg")} == names
    assert {tuple(figures) for figures in groups.values()} == {
        ("notes_per_second", "pitch_range", "pitch_class_entropy", "polyphony", "silence", "illegal", "samples")
    }
    assert groups["held_out_jazz"] == groups["held_out_pop"]
    assert groups["held_out_jazz"]["illegal"] == 0
    assert groups["held_out_jazz"]["notes_per_second"] == pytest.approx(4, rel=0.1), "a note each 240 ticks of 480"
    assert groups["primed_jazz"]["illegal"] > 0.1, "of weights that know nothing"


def test_primed_samples_begin_as_pieces_of_the_split_do(sampled, root: Path):
    folder, _ = sampled
    for number, source in ((1, 0), (2, 5)):  # the first and the last
        begins = PERFORMANCE.decode(piece(source)[:PROMPT]).score.notes["pitch"]
        assert midi.read(folder / f"primed_jazz_{number}.mid").notes["pitch"][: len(begins)].tolist() == begins.tolist()


def test_samples_repeat_themselves_and_change_with_the_seed(sampled, root: Path, tmp_path: Path):
    folder, groups = sampled
    again = sample(root, tmp_path / "again", "jazz")
    assert again.items() <= groups.items()
    for path in (tmp_path / "again").iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert sample(root, tmp_path / "other", "jazz", seed=1)["primed_jazz"] != groups["primed_jazz"]


def test_tasks_that_are_asked_by_prompts(root: Path, tmp_path: Path):
    groups = sample(root, tmp_path, "asked")
    names = [f"{group}_jazz_{kind}" for kind, group in (("continue", "primed"), ("improvise", "improv"))]
    assert set(groups) == {*names, "held_out_jazz_continue", "held_out_jazz_improvise"}
    begins = PERFORMANCE.decode(piece(0)[:PROMPT]).score.notes["pitch"].tolist()
    assert midi.read(tmp_path / "primed_jazz_continue_1.mid").notes["pitch"][: len(begins)].tolist() == begins


def test_figures_of_a_silent_sample_are_not_numbers():
    silence = sampling.Music(np.empty(0, np.int32), np.full(3, PERFORMANCE.ids["TIME_SHIFT_100"], np.int32))
    figures = sampling.figures([silence], "performance")
    assert figures["silence"] == 1
    assert np.isnan(figures["polyphony"])


@pytest.mark.parametrize(
    ("task", "settings", "error", "message"),
    [
        ("noise", {}, ConfigError, "noise does not generate music from left to right"),
        ("jazz", {"words": 0}, ConfigError, r"sample\.words must be at least 1 and at most 1,048,576, not 0"),
        ("jazz", {"temperature": 0.0}, ConfigError, r"sample\.temperature must be above 0"),
        ("jazz", {"words": 1000}, DataError, r"jazz: 0 pieces of split 'test' have an example of 1016 words"),
        ("jazz", {"split": "train"}, DataError, "has no split 'train'"),
    ],
)
def test_what_cannot_be(root: Path, tmp_path: Path, task: str, settings: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        sample(root, tmp_path, task, **settings)
