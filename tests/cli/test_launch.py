"""Launch: the scripts have the syntax of their languages, and do what they say with programs that note their calls."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.cli import launch
from t5music.cli.main import build_parser, main
from t5music.errors import ConfigError

yaml = pytest.importorskip("yaml")

POD = "pods/tpu_v4_256_11b.gin"
TRAIN = ["train", "it's a task", "--gin_file=" + POD, "--model_dir", "gs://bucket/run", '--gin.A={"a": [1, 2]}']
WITH_TRAINING = [place for place, kind in launch.PLACES.items() if kind.platform]
IMAGE = {"image": "registry/t5music"}
NEEDED: dict[str, dict[str, str]] = {"tpu_vm": {}, "gke": IMAGE, "slurm": IMAGE, "docker": {}}
WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1), max_size=4)


def expected(place: str, words: list[str]) -> list[str]:
    return ["t5music", *words, "--distributed", "--platform", launch.PLACES[place].platform]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come first; each notes its words in the file `calls` beside it, as JSON lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    code = (
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"with open({str(folder / 'calls')!r}, 'a') as file:\n"
        "    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + chr(10))\n"
        "if 'state.state' in str(sys.argv): print('ACTIVE')\n"
        "sys.exit('describe' in sys.argv and 'tpu-vm' in sys.argv)\n"
    )
    for name in ("gcloud", "srun", "pip", "rm"):
        (folder / name).write_text(code)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "t5music-0.1-py3-none-any.whl").touch()
    return folder


def run(script: str, folder: Path, *arguments: str) -> list[list[str]]:
    """Runs a script by bash; returns the calls of programs."""
    subprocess.run(["bash", "-c", script, "script", *arguments], check=True, capture_output=True)
    calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    (folder / "calls").unlink()
    return calls


@pytest.mark.parametrize("place", launch.PLACES)
def test_every_setting_has_a_place_and_every_script_says_what_it_needs(place: str):
    kind = launch.PLACES[place]
    assert set(kind.defaults) <= set(launch.SETTINGS)
    script = launch.script(place, NEEDED[place], TRAIN if kind.platform else [])
    assert "{{" not in script
    assert script.endswith("\n")
    head = "\n".join(line for line in script.splitlines()[:14] if line.startswith("#"))
    for word in ("Needs:", "Run:"):
        assert word in head
    if kind.file.endswith(".sh"):
        assert script.startswith("#!/bin/bash\n")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def each(calls: list[list[str]], action: str) -> list[list[str]]:
    return [call[call.index(action) + 1 :] for call in calls if action in call]


def test_a_tpu_is_made_fitted_out_and_trains_on_all_its_machines(programs: Path):
    script = launch.script("tpu_vm", {"accelerator": "v5p-64", "project": "mine"}, TRAIN)
    calls = run(script, programs)
    place = ["--project=mine", "--zone=us-central2-b"]
    assert [call[4] for call in calls] == ["describe", "create", "scp", "ssh", "ssh"]
    [created] = each(calls, "create")
    assert created == ["t5music", *place, "--accelerator-type=v5p-64", "--version=v2-alpha-tpuv5"]
    [copied] = each(calls, "scp")
    assert copied == ["dist/t5music-0.1-py3-none-any.whl", "t5music:", *place, "--worker=all"]
    install, training = each(calls, "ssh")
    assert install[:4] == training[:4] == ["t5music", *place, "--worker=all"]
    install, training = (words[4].removeprefix("--command=") for words in (install, training))
    subprocess.run(["bash", "-n"], input=install, text=True, check=True)
    assert "'./t5music-0.1-py3-none-any.whl[gcs]'" in install
    assert shlex.split(training) == ["env/bin/t5music", *expected("tpu_vm", TRAIN)[1:]]
    assert run(script, programs, "delete") == [
        ["gcloud", "compute", "tpus", "tpu-vm", "delete", "t5music", *place, "--quiet"]
    ]


def test_several_slices_are_one_training(programs: Path):
    script = launch.script("tpu_vm", {"slices": "3", "project": "mine", "name": "pod"}, TRAIN)
    calls = run(script, programs)
    [created] = each(calls, "create")
    assert {"--node-count=3", "--node-prefix=pod"} <= set(created)
    trainings = [words for words in each(calls, "ssh") if "env/bin/t5music" in words[-1]]
    assert sorted(words[0] for words in trainings) == ["pod-0", "pod-1", "pod-2"]
    assert len({words[-1] for words in trainings}) == 1
    assert "queued-resources" in run(script, programs, "delete")[0]


def test_a_jobset_has_the_fields_of_its_kind():
    text = launch.script("gke", {"topology": "2x4x4", "chips": "4", "slices": "2", "image": "a/b:c"}, TRAIN)
    document: dict[str, Any] = yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert document["metadata"]["name"] == "t5music"
    assert document.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert document["spec"].keys() == {"failurePolicy", "replicatedJobs"}
    assert document["spec"]["failurePolicy"] == {"maxRestarts": 100}
    [job] = document["spec"]["replicatedJobs"]
    assert job.keys() == {"name", "replicas", "template"}
    assert job["replicas"] == 2
    spec = job["template"]["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (8, 8, 0)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x4x4",
    }
    [container] = pod["containers"]
    assert container["image"] == "a/b:c"
    assert container["command"] == expected("gke", TRAIN)
    assert container["resources"] == {"limits": {"google.com/tpu": 4}}


def test_slurm_starts_a_task_for_each_gpu(programs: Path):
    script = launch.script("slurm", {"nodes": "4", "gpus": "2", "image": "reg#my image", "mount": "/data"}, TRAIN)
    options = [line.split()[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {"--nodes=4", "--gpus-per-node=2", "--ntasks-per-node=2", "--requeue", "--signal=TERM@120"} <= set(options)
    [call] = run(script, programs)
    assert call == [
        *("srun", "--kill-on-bad-exit=1", "--container-image=reg#my image", "--container-mounts=/data:/data"),
        *expected("slurm", TRAIN),
    ]


@pytest.mark.parametrize(("platform", "jax"), [("cpu", "jax"), ("cuda", "jax[cuda12]"), ("tpu", "jax[tpu]")])
def test_an_image_has_the_jax_of_its_platform(programs: Path, platform: str, jax: str, monkeypatch):
    recipe = launch.script("docker", {}, []).replace("\\\n", "")
    lines = [line for line in recipe.splitlines() if line and not line.startswith("#")]
    assert [line.split()[0] for line in lines] == ["FROM", "ARG", "COPY", "RUN", "ENTRYPOINT"]
    assert json.loads(lines[-1].partition(" ")[2]) == ["t5music"]
    command = lines[3].removeprefix("RUN ").replace("/tmp/", "dist/")
    monkeypatch.setenv("PLATFORM", platform)
    install, _ = run(command, programs)
    assert install == ["pip", "install", "--no-cache-dir", "dist/t5music-0.1-py3-none-any.whl[gcs,s3]", jax]
    wrong = subprocess.run(["sh", "-c", command], env={**os.environ, "PLATFORM": "amiga"}, capture_output=True)
    assert (wrong.returncode, wrong.stderr) == (1, b"PLATFORM is amiga: cpu, cuda or tpu\n")


def command_of(place: str, script: str) -> list[str]:
    """The words that a script has its machines run."""
    if place == "gke":
        document = yaml.load(script, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        pod = document["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        return pod["containers"][0]["command"]
    if place == "tpu_vm":
        [text] = re.findall(r"^command=(.*)$", script, re.M)
        return shlex.split(*shlex.split(text))
    return shlex.split(script.splitlines()[-1])


@settings(max_examples=20)
@given(words=WORDS)
def test_any_words_arrive_as_they_are(words: list[str]):
    words = ["train", *words, "--platform=cpu", "--distributed"]
    for place in WITH_TRAINING:
        assert command_of(place, launch.script(place, NEEDED[place], words)) == ["t5music", *words]


@pytest.mark.parametrize(
    ("place", "changed", "words", "message"),
    [
        ("gke", {"gpus": "2"}, TRAIN, r"launch gke: --gpus is of other places; it takes --name, "),
        ("docker", {"name": "a"}, [], r"--name is of other places; it takes nothing"),
        ("docker", {}, TRAIN, "leave out --command"),
        ("slurm", {"image": ""}, TRAIN, "name the container's image: --image"),
        ("slurm", {}, [], "say what to run: --command 'train"),
        ("slurm", {}, ["eval", "a"], "--command eval: only train runs on several machines"),
        ("gke", {"topology": "2x2", "chips": "8"}, TRAIN, "8 chips a machine .* do not divide a slice of 2x2"),
    ],
)
def test_what_cannot_be_is_named(place: str, changed: dict[str, str], words: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        launch.script(place, NEEDED[place] | changed, words)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--topology", "four"), ("--topology", "0x4"), ("--name", "My_Job"), ("--name", "a" * 41), ("--zone", "a\nb")],
)
def test_settings_have_their_form(flag: str, value: str, capsys: pytest.CaptureFixture[str]):
    assert main(["launch", "gke", flag, value, "--command", "train a"]) == 2
    assert f"error: {flag} must be like " in capsys.readouterr().err


def test_the_training_is_checked_before_a_pod_is_made(capsys: pytest.CaptureFixture[str]):
    for command, message in (
        ("train a --stesp 3", "t5music train has no flag --stesp; did you mean '--steps'?"),
        ("train a --gin_file=nowhere.gin", "nowhere.gin"),
        ("train 'a", "--command train 'a: No closing quotation"),
        ("train a --gin.B", "--gin.B: write --gin.NAME=value"),
    ):
        assert main(["launch", "gke", "--image", "a", "--command", command]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("place", WITH_TRAINING)
def test_the_command_of_every_script_is_one_of_t5music(place: str, capsys: pytest.CaptureFixture[str]):
    image = [word for name, value in NEEDED[place].items() for word in (f"--{name}", value)]
    assert main(["launch", place, *image, "--command", f"train mine --gin_file={POD} --model_dir run"]) == 0
    flags = build_parser().parse_line(command_of(place, capsys.readouterr().out)[1:])
    assert (flags.distributed, flags.gin_file, flags.platform) == (True, [POD], launch.PLACES[place].platform)


@pytest.mark.slow
def test_the_command_of_a_script_can_be_planned(capsys: pytest.CaptureFixture[str]):
    """What a script runs, with --plan: memory and time on the pod, worked out here."""
    words = command_of("tpu_vm", launch.script("tpu_vm", {}, ["train", "mine", f"--gin_file={POD}"]))[1:]
    assert main([*words, "--platform", "cpu", "--plan"]) == 0
    assert "256 x TPU v4" in capsys.readouterr().out
