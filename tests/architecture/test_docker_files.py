"""What lies in docker/ is well formed by the schemas of its readers, safe by default, and of one version."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from lmc_sweep.config import load_sweep

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
TOOLS = Path(sys.executable).parent
KUBERNETES = "1.37"
SCRIPTS = [*DOCKER.glob("*.sh"), *DOCKER.glob("slurm/*")]
MANIFESTS = sorted((DOCKER / "kubernetes").glob("*.yaml"))
METRIC = re.compile(r"ray_lmc_sweep_[a-z_]*[a-z]")
TOKEN = {"RAY_AUTH_TOKEN": "0" * 64}


def tool(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a linter of the environment says of the checkout."""
    return subprocess.run(
        [str(TOOLS / name), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def composed(*files: str, profiles: tuple[str, ...] = (), **environment: str) -> dict[str, Any]:
    """The services as Compose resolves them, for the profiles too."""
    asked = [part for file in files for part in ("--file", str(DOCKER / file))]
    asked += [part for profile in profiles for part in ("--profile", profile)]
    told = tool("docker-compose", *asked, "config", "--format", "json", **(TOKEN | environment))
    assert 0 == told.returncode, told.stderr
    services: dict[str, Any] = json.loads(told.stdout)["services"]
    return services


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a manifest."""
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def cluster_spec(name: str) -> dict[str, Any]:
    """The cluster that a manifest of KubeRay asks for."""
    spec: dict[str, Any] = documents(DOCKER / "kubernetes" / name)[0]["spec"]
    cluster: dict[str, Any] = spec.get("rayClusterSpec", spec)
    return cluster


def pods() -> list[dict[str, Any]]:
    """The pod of every group, and of the job that fetches data sets."""
    spec = cluster_spec("raycluster.yaml")
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    jobs = [found["spec"] for path in MANIFESTS for found in documents(path) if found["kind"] == "Job"]
    return [part["template"]["spec"] for part in [*groups, *jobs]]


def test_the_image_passes_its_linter() -> None:
    """hadolint has nothing to say of the Dockerfile."""
    told = tool("hadolint", str(DOCKER / "Dockerfile"))
    assert (0, "") == (told.returncode, told.stdout)


def test_scripts_pass_their_linter() -> None:
    """shellcheck has nothing to say of any script, and each may be executed."""
    told = tool("shellcheck", *map(str, SCRIPTS))
    assert (0, "") == (told.returncode, told.stdout)
    assert [] == [path.name for path in SCRIPTS if not os.access(path, os.X_OK)]


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    """Whatever a COPY names exists and is let through by the ignore file, which names nothing besides."""
    text = (DOCKER / "Dockerfile").read_text()
    lines = [
        line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line
    ]
    copied = {part for line in lines for part in line if not part.startswith("--")}
    allowed = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)
    assert [] == [part for part in copied if not (ROOT / part).exists()]


def test_versions_have_one_place() -> None:
    """The Dockerfile takes versions from constraints.txt, and manifests name the Ray that stands there."""
    assert "==" not in (DOCKER / "Dockerfile").read_text()
    assert "--constraint constraints.txt" in (DOCKER / "install.sh").read_text()
    ray = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert ray is not None
    assert ray[1] == cluster_spec("raycluster.yaml")["rayVersion"]


def test_the_image_runs_as_nobody_special_and_tells_its_health() -> None:
    """The last user is no root, tokens are on, and a health check is set."""
    text = (DOCKER / "Dockerfile").read_text()
    assert "1000:1000" == re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1]
    assert "RAY_AUTH_MODE=token" in text
    assert "HEALTHCHECK" in text


def test_compose_is_refused_without_a_token() -> None:
    """A cluster that anybody could use is not started; the message says how to make a token."""
    told = tool("docker-compose", "--file", str(DOCKER / "compose.yaml"), "config", "--quiet")
    assert 0 != told.returncode
    assert "openssl rand" in told.stderr


def test_compose_opens_no_port_to_others() -> None:
    """Every published port is bound to loopback."""
    services = composed("compose.yaml", profiles=("s3", "datasets"))
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert {"127.0.0.1"} == {port["host_ip"] for port in ports}


def test_compose_starts_head_and_workers_with_tokens_and_shared_memory() -> None:
    """As many workers as asked, each node with the token as a file, /dev/shm of a size, and no privileges."""
    services = composed("compose.yaml", WORKERS="3")
    assert {"head", "worker"} == set(services)
    assert 3 == services["worker"]["deploy"]["replicas"]
    for node in services.values():
        assert "token" == node["environment"]["RAY_AUTH_MODE"]
        assert TOKEN["RAY_AUTH_TOKEN"] not in json.dumps(node)
        assert int(node["shm_size"]) > 2**28
        assert ["ALL"] == node["cap_drop"]


def test_compose_gives_workers_the_gpus() -> None:
    """With the second file, workers see all GPUs and run the image with CUDA."""
    worker = composed("compose.yaml", "compose.gpu.yaml", TORCH="cuda")["worker"]
    assert -1 == worker["deploy"]["resources"]["reservations"]["devices"][0]["count"]
    assert ("lmc_sweep:cuda", "cuda") == (worker["image"], worker["build"]["args"]["TORCH"])


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayjob.yaml"])
def test_manifests_of_kuberay_are_valid(name: str) -> None:
    """KubeRay's schema knows every field, and Kubernetes' every field of the pods."""
    (manifest,) = documents(DOCKER / "kubernetes" / name)
    schema = json.loads((ROOT / "tests" / "support" / "kuberay_schema.json").read_text())
    schema |= {"$ref": f"#/definitions/{manifest['kind']}"}
    assert [] == [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(manifest["spec"])]
    spec = cluster_spec(name)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "group"}}
        kubernetes_validate.validate(template | {"template": group["template"]}, KUBERNETES, strict=True)


def test_the_schema_of_kuberay_refuses_what_it_does_not_know() -> None:
    """A misspelled field of a cluster is an error, so that the test above can fail."""
    schema = json.loads((ROOT / "tests" / "support" / "kuberay_schema.json").read_text())
    schema |= {"$ref": "#/definitions/RayCluster"}
    spec = cluster_spec("raycluster.yaml") | {"enableInTreeAutoscalling": True}
    assert 1 == len(list(jsonschema.Draft7Validator(schema).iter_errors(spec)))


def test_other_manifests_are_valid() -> None:
    """Kubernetes' schemas know every field of the volume and of the job that fills it."""
    plain = documents(DOCKER / "kubernetes" / "data.yaml")
    assert ["PersistentVolumeClaim", "Job"] == [found["kind"] for found in plain]
    for found in plain:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_a_job_has_the_cluster_that_the_other_manifest_describes() -> None:
    """Both manifests of KubeRay ask for one and the same cluster."""
    assert cluster_spec("raycluster.yaml") == cluster_spec("rayjob.yaml")


def test_the_job_of_kuberay_is_a_run_that_resumes_and_waits_for_workers() -> None:
    """Its command is `lmc-sweep run` on the cluster with a store that stays; its overrides are accepted."""
    (manifest,) = documents(DOCKER / "kubernetes" / "rayjob.yaml")
    words = manifest["spec"]["entrypoint"].split()
    overrides = [word for before, word in itertools.pairwise(words) if before == "--set"]
    sweep = load_sweep(ROOT / "configs" / "quickstart.yaml", overrides)
    assert ["lmc-sweep", "run"] == words[:2]
    assert ["auto", "s3://your-bucket/quickstart"] == [
        words[words.index(o) + 1] for o in ("--address", "--store")
    ]
    assert sweep.execution.num_pending
    assert manifest["spec"]["backoffLimit"] > 0


def test_clusters_are_closed_grow_and_let_batches_end() -> None:
    """Tokens are on, the head runs no batch, groups grow from nothing, pods may take longer than Ray."""
    spec = cluster_spec("rayjob.yaml")
    assert "token" == spec["authOptions"]["mode"]
    assert spec["enableInTreeAutoscaling"]
    assert "0" == spec["headGroupSpec"]["rayStartParams"]["num-cpus"]
    drain = re.search(r"DRAIN_TIMEOUT_S=(\d+)", (DOCKER / "Dockerfile").read_text())
    assert drain is not None
    for group in spec["workerGroupSpecs"]:
        assert 0 == group["minReplicas"] < group["maxReplicas"]
        assert int(drain[1]) < group["template"]["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["containers"][0]["name"])
def test_pods_have_few_rights_and_what_they_ask(pod: dict[str, Any]) -> None:
    """No pod runs as root or gains rights; requests are limits; no secret stands in a manifest."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert all("value" not in variable for variable in container.get("env", []))
    shared = [volume["emptyDir"]["medium"] for volume in pod["volumes"] if volume["name"] == "shm"]
    assert (["Memory"] if container["name"].startswith("ray-") else []) == shared


def test_the_launcher_is_valid() -> None:
    """Ray's own schema and checks accept the file of its cluster launcher."""
    import ray
    from ray.autoscaler._private.util import prepare_config, validate_config

    asked = yaml.safe_load((DOCKER / "launcher.yaml").read_text())
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(asked, schema)
    validate_config(prepare_config(asked))
    assert {"CPU": 0, "GPU": 0} == asked["available_node_types"]["head"]["resources"]


def test_the_dashboard_shows_what_a_run_tells() -> None:
    """Every metric of a run stands in a panel of Grafana's, no panel asks for another, none overlap."""
    from lmc_sweep.execution.ray_metrics import GAUGES, LOST, WHOLE

    panels = json.loads((DOCKER / "grafana.json").read_text())["panels"]
    asked = {name for panel in panels for part in panel["targets"] for name in METRIC.findall(part["expr"])}
    assert {f"ray_{name}" for name in (*GAUGES, *WHOLE, LOST)} == asked
    places = [panel["gridPos"] for panel in panels]
    covered = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(covered)) == len(covered)
    assert 24 == max(x for x, _ in covered) + 1
