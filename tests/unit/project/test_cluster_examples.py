"""The clusters of docs/examples: forms that Ray takes, commands that there are, names that belong together."""

import json
import re
import shlex
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import yaml
from quintet_client.cli import command_parser
from quintet_client.cluster.settings import BatchSettings

from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "examples"


def options_of(command):
    words = shlex.split(command)
    assert words[:2] == ["quintet", "batch"]
    found = command_parser().parse_args(words[1:])
    return BatchSettings(found.input_path, found.output_path, ray=found.ray, gpus_per_actor=found.gpus_per_actor)


def test_rays_launcher_takes_the_cluster_on_aws_and_its_command_is_one():
    text = (EXAMPLES / "ray-aws.yaml").read_text("utf-8")
    cluster = yaml.safe_load(text)
    schema = Path(find_spec("ray").origin).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(cluster, json.loads(schema.read_text("utf-8")))
    assert cluster["head_node_type"] in cluster["available_node_types"]
    assert options_of(re.search(r'ray exec ray-aws\.yaml "(.*)"', text)[1]).ray == "auto"
    assert all(Path(place).name in " ".join([*cluster["setup_commands"], place]) for place in cluster["file_mounts"])


def test_the_job_of_kuberay_has_a_command_that_there_is_and_the_ray_that_is_locked():
    job = yaml.safe_load((EXAMPLES / "kuberay.yaml").read_text("utf-8"))
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert options_of(spec["entrypoint"]).gpus_per_actor == 1
    assert spec["rayClusterSpec"]["rayVersion"] == version("ray")
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        (container,) = group["template"]["spec"]["containers"]
        assert (
            container["resources"]["requests"]["nvidia.com/gpu"] == container["resources"]["limits"]["nvidia.com/gpu"]
        )
