"""Replay: some of the examples drawn are of another mixture, so that what was learned of it is not forgotten."""

from __future__ import annotations

import pytest
import tiny_music

from t5music import files
from t5music.data.loading.mixing_order import resolve
from t5music.data.mixing_rates import Constant
from t5music.data.store.token_store import TRAIN, write_mixture
from t5music.errors import ConfigError
from t5music.runs.settings import TrainingData

LENGTHS = {"inputs": 8, "targets": 16}


@pytest.fixture(scope="module", autouse=True)
def stores(tmp_path_factory: pytest.TempPathFactory):
    """`mine`, of two tasks, and `everything`, of two others, one of them three times as frequent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        folder = files.data_dir() / files.STORES
        for name, examples in {"a": 1, "b": 3, "c": 2, "d": 2}.items():
            tiny_music.write_music(folder / name, [tiny_music.line(i) for i in range(examples)])
        write_mixture(folder, "mine", {"a": Constant(1.0), "b": Constant(1.0)})
        write_mixture(folder, "everything", {"c": Constant(3.0), "d": Constant(1.0)})
        write_mixture(folder, "overlapping", {"b": Constant(1.0), "c": Constant(1.0)})
        yield


def shares(**settings) -> dict[str, float]:
    data = TrainingData("mine", LENGTHS, 1, **settings)
    members = data.with_replay(data.stores())
    counts = {store.name: store.examples(TRAIN) for store, _ in members}
    return resolve({store.name: rate for store, rate in members}, counts)


def test_without_replay_nothing_changes():
    assert shares() == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize("percent", [0.5, 5, 40, 99])
def test_what_is_replayed_has_its_per_cent_of_the_examples_and_the_others_keep_their_proportions(percent):
    replayed = shares(replay=percent, replayed="everything")
    rest = 1 - percent / 100
    assert replayed == pytest.approx({"a": rest / 2, "b": rest / 2, "c": 0.75 * (1 - rest), "d": 0.25 * (1 - rest)})


def test_a_task_is_not_replayed_beside_itself():
    with pytest.raises(ConfigError, match=r"TrainingData.replayed = 'overlapping': it holds b, which is trained on"):
        shares(replay=5, replayed="overlapping")


@pytest.mark.parametrize("percent", [-1, 100, 250, float("nan")])
def test_a_share_that_cannot_be_is_refused(percent):
    with pytest.raises(ConfigError, match=r"--replay\) is from 0 to 99 per cent, not"):
        TrainingData("mine", LENGTHS, 1, replay=percent)
