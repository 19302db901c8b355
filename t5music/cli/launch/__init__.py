"""Launch: scripts that train on a pod or a cluster, opened with what they need; `t5music launch PLACE` prints them.

A place is a file here, with {{names}} where settings go, and a line in PLACES.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from t5music.errors import ConfigError


class Place(NamedTuple):
    """A kind of machines.

    Attributes:
        file: the script's template, in this folder.
        defaults: setting -> its value where none is given.
        platform: what the training computes on; '' where the script has no training.
        quote: writes a value, and the words of the training's command, in the script's language.
        join: likewise, of the words of the command.
    """

    file: str
    defaults: Mapping[str, str]
    platform: str = ""
    quote: Callable[[str], str] = str
    join: Callable[[Sequence[str]], str] = shlex.join


def _yaml(value: str | Sequence[str]) -> str:
    """Text or a list of texts as YAML, which takes JSON but not its pairs of surrogates."""
    return re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", json.dumps(value, ensure_ascii=False))


PLACES = {
    "tpu_vm": Place(
        "tpu_vm.sh",
        {"name": "t5music", "zone": "us-central2-b", "project": "", "accelerator": "v4-32", "slices": "1"},
        "tpu",
        shlex.quote,
        lambda words: shlex.quote(shlex.join(words)),
    ),
    "gke": Place(
        "gke.yaml",
        {"name": "t5music", "accelerator": "tpu-v5-lite-podslice", "topology": "4x4", "chips": "4", "slices": "1",
         "image": ""},
        "tpu",
        _yaml,
        _yaml,
    ),
    "slurm": Place(
        "slurm.sh",
        {"name": "t5music", "nodes": "2", "gpus": "8", "image": "", "mount": "/shared"},
        "gpu",
        shlex.quote,
    ),
    "docker": Place("Dockerfile", {}),
}  # fmt: skip

SETTINGS = {
    "name": "of the job and of what is made for it",
    "accelerator": "the kind of TPU, with its chips on a TPU VM: v5p-64; in GKE without: tpu-v5p-slice",
    "topology": "how a slice's chips lie: 4x4, 2x2x4",
    "chips": "chips of each machine",
    "slices": "number of slices, with the network between them",
    "zone": "Google's zone",
    "project": "Google's project (default: gcloud's)",
    "nodes": "number of machines",
    "gpus": "GPUs of each machine",
    "image": "the container's image",
    "mount": "the folder that all nodes see",
}
WHOLE = ("chips", "slices", "nodes", "gpus")
# Of TPU VMs, by the beginning of the accelerator's name.
_VERSIONS = {"v5litepod": "v2-alpha-tpuv5-lite", "v5p": "v2-alpha-tpuv5", "v6e": "v2-alpha-tpuv6e"}
FORMS = {
    "name": r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?",  # what Google and Kubernetes take
    "topology": r"[1-9]\d{0,3}(x[1-9]\d{0,3}){1,2}",
}


def script(place: str, changes: Mapping[str, str], words: Sequence[str]) -> str:
    """Returns the script of a training.

    Args:
        place: one of PLACES.
        changes: setting -> its value, where it is not the default.
        words: of the training's command, after "t5music".

    Raises:
        ConfigError: a setting that is not of this place, no image, or words where there is nothing to run.
    """
    kind = PLACES[place]
    for name in changes:
        if name not in kind.defaults:
            takes = ", ".join(f"--{each}" for each in kind.defaults) or "nothing"
            raise ConfigError(f"launch {place}: --{name} is of other places; it takes {takes}")
    settings = {**kind.defaults, **changes}
    if settings.get("image") == "":
        raise ConfigError(f"launch {place}: name the container's image: --image ('t5music launch docker' makes one)")
    values = {name: value if name in (*WHOLE, *FORMS) else kind.quote(value) for name, value in settings.items()}
    if kind.platform:
        values["command"] = kind.join(_command(place, words))
    elif words:
        raise ConfigError(f"launch {place}: it prints what makes an image, and runs nothing; leave out --command")
    if place == "tpu_vm":
        beginning = settings["accelerator"].partition("-")[0]
        values["version"] = _VERSIONS.get(beginning, "tpu-ubuntu2204-base")
    if place == "gke":
        values["hosts"] = str(_hosts(settings["topology"], int(settings["chips"])))
    template = (Path(__file__).parent / kind.file).read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _command(place: str, words: Sequence[str]) -> list[str]:
    """The command that every process of a training runs."""
    if not words:
        raise ConfigError(f"launch {place}: say what to run: --command 'train TASK --model_dir gs://BUCKET/RUN'")
    if words[0] != "train":
        raise ConfigError(f"launch {place}: --command {words[0]}: only train runs on several machines together")
    flags = ["--distributed"] if "--distributed" not in words else []
    if not any(word.partition("=")[0] == "--platform" for word in words):
        flags += ["--platform", PLACES[place].platform]
    return ["t5music", *words, *flags]


def _hosts(topology: str, chips: int) -> int:
    """The machines of a slice."""
    total = math.prod(map(int, topology.split("x")))
    if total % chips:
        raise ConfigError(f"launch gke: {chips} chips a machine (--chips) do not divide a slice of {topology}")
    return total // chips
