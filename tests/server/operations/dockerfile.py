"""A Dockerfile without an engine: its steps in roots of their own, and what it starts in namespaces as a container has.

A root is this machine's, read through an overlay that takes what is written; homes and the tree are hidden. What runs
in the end has its own processes and network, a read-only root, the image's user and no capabilities.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.stage import wait_until
from tests.conftest import ROOT

# Where pip and uv find packages is this machine's affair.
OF_INDEXES = re.compile(r"PIP_|UV_(?!LINK|CACHE)|SSL_|REQUESTS_CA|HTTPS?_PROXY|NO_PROXY", re.IGNORECASE)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Homes, the tree, and a Java of this machine, which images of Python have not.
HIDDEN = [path for path in ("/root", "/home", "/tmp", f"/{ROOT.parts[1]}", "/usr/lib/jvm") if Path(path).exists()]
# Links instead of copies of 6 GB.
FASTER = {"UV_LINK_MODE": "symlink", "UV_COMPILE_BYTECODE": "0"}
_CACHE = "/var/cache/uv"  # where those links lead
_MOUNT = 'mount -t overlay overlay -o "lowerdir=/,upperdir=$UPPER,workdir=$SCRATCH" "$AT"'
_HIDE = 'for hidden in {hidden}; do mount -t tmpfs -o mode=1777 tmpfs "$AT$hidden"; done'


def can_mount(folder: Path) -> bool:
    """Whether this machine lets us make roots and namespaces: as root, on a file system that overlays can lie on."""
    layer = Layer(folder / "probe")
    ended = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "bash", "-ec", _MOUNT],
        env=layer.environment, capture_output=True, check=False,
    )  # fmt: skip
    return ended.returncode == 0


@dataclass(frozen=True)
class Layer:
    """What was written over this machine's root."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("upper", "scratch", "at"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "upper").chmod(0o755)

    @property
    def root(self) -> Path:
        return self.folder / "upper"

    @property
    def environment(self) -> dict[str, str]:
        """For the commands that mount it."""
        places = {"UPPER": self.root, "SCRATCH": self.folder / "scratch", "AT": self.folder / "at"}
        return {"PATH": PATH, **{name: str(place) for name, place in places.items()}}

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def steps_of(text: str) -> list[tuple[str, str]]:
    """Each instruction and what follows it; comments are left out, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


@dataclass
class Stage:
    """One stage, as far as its steps have been taken."""

    layer: Layer
    cache: Path  # stands for all cache mounts
    arguments: dict[str, str]
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    workdir: str = "/"
    told: dict[str, str] = field(default_factory=dict)  # USER, CMD, ENTRYPOINT, HEALTHCHECK, …

    def expand(self, text: str) -> str:
        known = {**self.arguments, **self.environment}
        return re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], ""), text)

    def run(self, command: str) -> None:
        """RUN: as root, with the machine's network."""
        mounts = {_CACHE, *re.findall(r"--mount=type=cache,target=(\S+)", command)}
        caches = [f'mkdir -p "$AT{at}"; mount --bind {shlex.quote(str(self.cache))} "$AT{at}"' for at in mounts]
        given = {**self.arguments, **self.environment, **FASTER}
        given |= {name: value for name, value in os.environ.items() if OF_INDEXES.match(name)}
        words = ["env", "-i", *(f"{name}={value}" for name, value in given.items())]
        plain = re.sub(r"--mount=\S+\s*", "", command)
        inner = shlex.join([*words, "sh", "-ec", f"cd {self.workdir}; {plain}"])
        system = 'for name in proc dev; do mount --rbind /$name "$AT/$name"; done'
        script = "\n".join([_MOUNT, _HIDE.format(hidden=" ".join(HIDDEN)), system, *caches, f'chroot "$AT" {inner}'])
        ended = subprocess.run(
            ["unshare", "--mount", "bash", "-ec", script],
            env=self.layer.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"RUN {command}\n{ended.stdout[-4000:]}"

    def copy(self, words: list[str], origin: Path | None) -> None:
        """COPY, out of another stage's root or the context."""
        *sources, target = words
        into = self.layer.inside(target if target.startswith("/") else f"{self.workdir}/{target}")
        for source in sources:
            found = origin / source.lstrip("/")
            if found.is_dir() and not into.exists():  # moved: 50,000 files that nobody looks for in the other stage
                into.parent.mkdir(parents=True, exist_ok=True)
                found.rename(into)
            else:
                into.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", f"{found}/." if found.is_dir() else found, into], check=True)

    def define(self, text: str) -> None:
        """ENV."""
        for word in shlex.split(text):
            name, _, value = word.partition("=")
            self.environment[name] = self.expand(value)


def context(folder: Path, ignore: Path) -> Path:
    """What an engine would be sent: files of the tree that the .dockerignore beside the Dockerfile lets through."""
    rules = [line for line in ignore.read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "all that is sent stands in the file"
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if name.split("/")[0] in taken and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def build(dockerfile: Path, folder: Path, cache: Path, **arguments: str) -> Stage:
    """Take all steps, and return the last stage; `cache` stands for the cache mounts."""
    sent = context(folder / "context", dockerfile.with_name(f"{dockerfile.name}.dockerignore"))
    stages: dict[str, Stage] = {}
    stage = Stage(Layer(folder / "none"), cache, {})
    defaults: dict[str, str] = {}
    base: Path | None = None
    for word, text in steps_of(dockerfile.read_text("utf-8")):
        if word == "FROM":
            _, _, name = text.partition(" AS ")
            base = base or _python_image(folder / "python", cache)
            stage = stages[name] = Stage(Layer(folder / f"stage-{len(stages)}"), cache, {})
            subprocess.run(["cp", "-a", f"{base}/.", stage.layer.root], check=True)
        elif word == "ARG":
            name, _, value = text.partition("=")
            (stage.arguments if stages else defaults)[name] = arguments.get(name, value)
        elif word == "RUN":
            stage.run(text)
        elif word == "COPY":
            words = text.split()
            origin = re.fullmatch(r"--from=(\w+)", words[0])
            stage.copy(words[1:] if origin else words, stages[origin[1]].layer.root if origin else sent)
        elif word == "ENV":
            stage.define(text)
        elif word == "WORKDIR":
            stage.workdir = text
            stage.layer.inside(text).mkdir(parents=True, exist_ok=True)
        else:
            stage.told[word] = text
    return stage


def _python_image(folder: Path, cache: Path) -> Path:
    """What the image of Python adds: `python` and `pip` in /usr/local."""
    stage = Stage(Layer(folder), cache, {})
    prefix, local = Path(sys.base_prefix), stage.layer.inside("/usr/local")
    if any(prefix.is_relative_to(hidden) for hidden in HIDDEN):
        left_out = shutil.ignore_patterns("test", "site-packages", "__pycache__", "*.a")
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        shutil.copytree(prefix / "lib", local / "lib", ignore=left_out, symlinks=True)
        (local / "bin").mkdir()
        shutil.copy2(prefix / "bin" / name, local / "bin")
        for link in ("python", "python3"):
            (local / "bin" / link).symlink_to(name)
        stage.run("ldconfig && python -m ensurepip --default-pip")
    elif prefix != Path("/usr/local"):
        stage.run(f"{prefix}/bin/python3 -m venv /usr/local")
    return stage.layer.root


@dataclass
class Container:
    """What an image starts: its command, or other words after its entry point, with a state that stays."""

    image: Stage
    state: Path
    files: dict[str, Path] = field(default_factory=dict)  # bound into it, by where
    process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        """Start it; the first of its processes is the command itself, as without an init."""
        told = self.image.told
        for at in self.files:
            self.image.layer.inside(at).parent.mkdir(parents=True, exist_ok=True)
            self.image.layer.inside(at).touch()
        self.image.layer.inside(_CACHE).mkdir(parents=True, exist_ok=True)
        binds = {str(path): at for at, path in self.files.items()}
        binds |= {str(self.state): told["VOLUME"], str(self.image.cache): _CACHE}
        command = [*json.loads(told["ENTRYPOINT"]), *(words or json.loads(told["CMD"]))]
        script = "\n".join(
            [
                *(_MOUNT, _HIDE.format(hidden=" ".join(HIDDEN)), 'mount --rbind /dev "$AT/dev"'),
                *(f'mount --bind {shlex.quote(path)} "$AT{at}"' for path, at in binds.items()),
                *('mount -t proc proc "$AT/proc"', 'mount -o remount,ro "$AT"', "ip link set lo up"),
                f'exec chroot "$AT" {shlex.join([*self._as_user(), *command])}',
            ]
        )
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "bash", "-ec", script],
            env=self.image.layer.environment,
        )
        wait_until(lambda: psutil.Process(self.process.pid).children() or self.process.poll() is not None)

    def _as_user(self) -> list[str]:
        user, group = self.image.told["USER"].split(":")
        rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--clear-groups"]
        variables = [f"{name}={value}" for name, value in self.image.environment.items()]
        place = ["env", "-i", f"--chdir={self.image.workdir}", *variables]
        return ["setpriv", f"--reuid={user}", f"--regid={group}", *rights, *place]

    def first(self) -> psutil.Process:
        """The process that has the number 1 inside."""
        (first,) = psutil.Process(self.process.pid).children()
        return first

    def kill(self) -> None:
        """End all of its processes at once, as the kernel does when the first one goes."""
        if self.process.poll() is None:
            self.first().kill()
            self.process.wait(60)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as its user."""
        enter = ["nsenter", f"--target={self.first().pid}", "--mount", "--pid", "--net", "--ipc", "--root", "--wd=/"]
        return subprocess.run(
            [*enter, *self._as_user(), *words],
            env={"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def health(self) -> subprocess.CompletedProcess[str]:
        """What the HEALTHCHECK says."""
        return self.run(*json.loads(self.image.told["HEALTHCHECK"].partition(" CMD ")[2]))
