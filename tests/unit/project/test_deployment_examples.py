"""The container, the manifests and the unit of docs/examples: what linters and schemas say, what belongs together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from quintet import __version__
from quintet.operations.front_end import READY_WITHIN_S, STOPS_WITHIN_S
from quintet.operations.running import DRAINS_WITHIN_S
from quintet_client.cli import command_parser

from tests.conftest import ROOT
from tests.server.operations.dockerfile import steps_of

EXAMPLES = ROOT / "docs" / "examples"
CONTAINER, CLUSTER = EXAMPLES / "container", EXAMPLES / "kubernetes"
UNIT = EXAMPLES / "quintet.service"
DOCKERFILE = CONTAINER / "Dockerfile"
BIN = Path(sys.executable).parent
KUBERNETES = "1.32"
MANIFESTS = ("deployment.yaml", "service.yaml", "networkpolicy.yaml", "poddisruptionbudget.yaml")


def load(file: Path) -> dict:
    return yaml.safe_load(file.read_text("utf-8"))


def hadolint(file: Path) -> None:
    done = subprocess.run([BIN / "hadolint", "--no-color", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def compose_schema(file: Path) -> None:
    """The schema of the compose specification, out of a package that has it; its command takes 4 s to start."""
    schemas = Path(find_spec("check_jsonschema").origin).parent / "builtin_schemas" / "vendor"
    jsonschema.validate(load(file), json.loads((schemas / "compose-spec.json").read_text("utf-8")))


def kubernetes_schema(file: Path) -> None:
    kubernetes_validate.validate(load(file), KUBERNETES, strict=True)


def systemd(file: Path) -> None:
    """systemd's own parser, which warns of what it does not know; it wants the command to be there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    there = file.with_name("verified.service")
    there.write_text(file.read_text("utf-8").replace("/opt/quintet/.venv/bin", str(BIN)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", there], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


CHECKS = {
    "Dockerfile": (DOCKERFILE, hadolint, "CMD [", "CMD quintet ["),
    "compose": (CONTAINER / "compose.yaml", compose_schema, "stop_grace_period", "stop_grace_time"),
    "compose for a GPU": (CONTAINER / "compose.gpu.yaml", compose_schema, "capabilities: [gpu]", "capabilities: gpu"),
    "deployment": (CLUSTER / "deployment.yaml", kubernetes_schema, "runAsNonRoot: true", "runAsNonRoot: always"),
    "service": (CLUSTER / "service.yaml", kubernetes_schema, "targetPort: pages", "targetport: pages"),
    "network policy": (CLUSTER / "networkpolicy.yaml", kubernetes_schema, "policyTypes: [", "policyTypes: Both  # ["),
    "disruption budget": (CLUSTER / "poddisruptionbudget.yaml", kubernetes_schema, "selector:", "selectors:"),
    "unit": (UNIT, systemd, "Restart=always", "Restart=allways"),
}


@pytest.mark.parametrize(("file", "check"), [row[:2] for row in CHECKS.values()], ids=CHECKS)
def test_an_example_is_what_its_linter_or_schema_takes(
    file: Path, check: Callable[[Path], None], tmp_path: Path
) -> None:
    check(Path(shutil.copy(file, tmp_path)))


@pytest.mark.parametrize(("file", "check", "right", "wrong"), CHECKS.values(), ids=CHECKS)
def test_the_linter_or_schema_finds_a_mistake(
    file: Path, check: Callable[[Path], None], right: str, wrong: str, tmp_path: Path
) -> None:
    text = file.read_text("utf-8")
    assert right in text
    (tmp_path / file.name).write_text(text.replace(right, wrong))
    with pytest.raises((AssertionError, jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(tmp_path / file.name)


def serve_options(words: list[str]) -> object:
    assert words[0] == "serve"
    return command_parser().parse_args(words)


def steps() -> dict[str, str]:
    """The last step of each kind."""
    return dict(steps_of(DOCKERFILE.read_text("utf-8")))


def test_all_commands_are_ones_that_there_are_and_stay_in_the_foreground_where_they_are_reached() -> None:
    pod = load(CLUSTER / "deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    service = load(CONTAINER / "compose.yaml")["services"]["quintet"]
    for words in (json.loads(steps()["CMD"]), pod["args"], service["command"]):
        options = serve_options(words)
        assert (options.foreground, options.host) == (True, "0.0.0.0")
    assert json.loads(steps()["ENTRYPOINT"]) == ["quintet"]
    for probe in ("startupProbe", "readinessProbe"):
        asked = command_parser().parse_args(pod[probe]["exec"]["command"][1:])
        assert asked.timeout_s < pod[probe]["timeoutSeconds"]
    flags, _, check = steps()["HEALTHCHECK"].partition(" CMD ")
    asked = command_parser().parse_args(json.loads(check)[1:])
    assert asked.timeout_s < int(re.search(r"--timeout=(\d+)s", flags)[1])


def test_who_stops_or_starts_it_waits_as_long_as_that_may_take() -> None:
    pod = load(CLUSTER / "deployment.yaml")["spec"]["template"]["spec"]
    seconds = [
        pod["terminationGracePeriodSeconds"],
        int(load(CONTAINER / "compose.yaml")["services"]["quintet"]["stop_grace_period"].removesuffix("s")),
        int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text("utf-8"), re.MULTILINE)[1]),
    ]
    assert min(seconds) > DRAINS_WITHIN_S + STOPS_WITHIN_S
    startup = pod["containers"][0]["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > READY_WITHIN_S
    assert int(re.search(r"--start-period=(\d+)s", steps()["HEALTHCHECK"])[1]) >= READY_WITHIN_S


def test_the_dashboard_asks_the_data_source_that_is_provisioned_and_that_the_service() -> None:
    (source,) = load(CONTAINER / "grafana" / "datasources.yaml")["datasources"]
    (provider,) = load(CONTAINER / "grafana" / "dashboards.yaml")["providers"]
    services = load(CONTAINER / "compose.yaml")["services"]
    dashboard = json.loads((EXAMPLES / "grafana.json").read_text("utf-8"))
    (variable,) = dashboard["templating"]["list"]
    asked = set(re.findall(r'"uid": "([^"]+)"', json.dumps(dashboard["panels"])))
    assert asked == {f"${{{variable['name']}}}"}
    assert (variable["type"], variable["query"]) == ("datasource", source["type"])
    assert variable["current"]["value"] == source["uid"]
    mounted = {target: (CONTAINER / origin).resolve() for origin, target, _ in
               (volume.split(":") for volume in services["grafana"]["volumes"])}  # fmt: skip
    board = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounted[board] == EXAMPLES / "grafana.json"
    assert Path(board).parent == Path(provider["options"]["path"])
    assert all(path.exists() for path in mounted.values())
    assert source["url"] == "http://prometheus:9090"
    (job,) = load(CONTAINER / "prometheus.yml")["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert names["names"] == ["quintet"]
    assert str(names["port"]) in steps()["EXPOSE"].split()
    for name in ("quintet", "prometheus", "grafana"):
        assert "metrics" in services[name]["networks"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))


def test_a_pod_has_the_images_user_its_volume_one_gpu_and_its_labels_everywhere() -> None:
    deployment = load(CLUSTER / "deployment.yaml")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    user, group = map(int, steps()["USER"].split(":"))
    security = pod["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (user, group, group)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {steps()["VOLUME"], "/tmp", "/dev/shm"} <= set(mounts)
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == set(mounts.values())
    token = Path(serve_options(container["args"]).token_file)
    assert mounts[str(token.parent)] == "token"
    assert [container["resources"][kind]["nvidia.com/gpu"] for kind in ("requests", "limits")] == ["1", "1"]
    labels = pod["metadata"]["labels"]
    assert load(CLUSTER / "service.yaml")["spec"]["selector"] == labels
    for selected in (
        deployment["spec"]["selector"],
        load(CLUSTER / "networkpolicy.yaml")["spec"]["podSelector"],
        load(CLUSTER / "poddisruptionbudget.yaml")["spec"]["selector"],
    ):
        assert selected == {"matchLabels": labels}


def test_the_manifests_are_those_of_the_kustomization_with_the_image_of_this_version() -> None:
    kustomization = load(CLUSTER / "kustomization.yaml")
    assert kustomization["resources"] == list(MANIFESTS)
    assert {path.name for path in CLUSTER.iterdir()} == {"kustomization.yaml", *MANIFESTS}
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    assert load(CONTAINER / "compose.yaml")["services"]["quintet"]["image"] == f"quintet:{__version__}"
    if shutil.which("kubectl"):
        built = subprocess.run(["kubectl", "kustomize", CLUSTER], capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        assert {document["kind"] for document in yaml.safe_load_all(built.stdout)} == {
            "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service",
        }  # fmt: skip


def test_the_unit_starts_the_installed_command_and_starts_it_again() -> None:
    lines = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE))
    program, *words = lines["ExecStart"].split()
    assert Path(program).name == "quintet"
    assert serve_options(words).foreground
    assert lines["Restart"] == "always"


def test_the_image_is_built_from_the_files_that_a_wheel_needs_and_no_others() -> None:
    ignored = (CONTAINER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    taken = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert all((ROOT / name).exists() for name in taken)
    assert not taken & {"model_store", "build", ".git", "tests", "docs"}


def test_what_is_installed_by_hash_without_cuda_is_all_of_the_lock_but_torch_and_its_libraries(tmp_path: Path) -> None:
    """The step for TORCH=cpu, whose filter runs here; CPU builds of torch are in no lock."""
    step = next(text for word, text in steps_of(DOCKERFILE.read_text("utf-8")) if word == "RUN" and "awk" in text)
    lock = ROOT / "requirements" / "serve.lock"
    rest = subprocess.run(
        ["awk", re.search(r"awk '([^']+)'", step)[1], lock], check=True, capture_output=True, text=True
    ).stdout
    blocks = [re.findall(r"^[a-z][^\n]*\n(?: [^\n]*\n)+", text, re.MULTILINE) for text in (lock.read_text(), rest)]
    assert set(blocks[1]) < set(blocks[0])
    left_out = {block.partition("==")[0] for block in set(blocks[0]) - set(blocks[1])}
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-toolkit"} <= left_out
    assert all(re.fullmatch(r"torch|torchvision|triton|(cuda|nvidia)-.*", name) for name in left_out)
    pinned = re.search(r"grep -oE '([^']+)'", step)[1]
    assert len(re.findall(pinned, lock.read_text(), re.MULTILINE)) == 2
