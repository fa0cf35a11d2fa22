"""The manifests, without a cluster: against Kubernetes' schemas, the settings and one another."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from stream.cli import app
from stream.config import load
from stream.errors import SettingError
from stream.memory import plan
from stream.metrics import Metrics
from stream.serve.health import health
from tests.deploy.kustomize import Document, Unsupported, build
from tests.deploy.manifests import DEPLOY, FOLDERS, POD, Manifests, amount, rendered

VERSIONS = ("1.29", kubernetes_validate.latest_version())
CUSTOM = {"ScaledObject", "TriggerAuthentication"}
"""Kinds that are KEDA's, of which there is no schema here."""
CACHE = DEPLOY.parent / ".cache" / "kustomize" / "kustomize"
README = (DEPLOY / "README.md").read_text()


@pytest.fixture(params=FOLDERS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return rendered(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_its_schema(manifests: Manifests, version: str) -> None:
    for one in manifests.all:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)


def test_schemas_are_strict() -> None:
    service = rendered("base").one("Service", "braid")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {"portz": []}}, VERSIONS[0], strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_real_kustomize_gives_the_same(folder: str) -> None:
    tool = shutil.which("kustomize") or (str(CACHE) if CACHE.exists() else None)
    if tool is None:
        pytest.skip(f"kustomize is neither on PATH nor at {CACHE}")
    done = subprocess.run(
        [tool, "build", str(DEPLOY / "k8s" / folder)], capture_output=True, text=True, check=True
    )
    assert by_name(list(yaml.safe_load_all(done.stdout))) == by_name(rendered(folder).all)


def by_name(objects: list[Document]) -> dict[tuple[str, str], Document]:
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "namePrefix: x-", "labels: []", "patches: [{path: p.yaml, target: {kind: Service}}]",
        "images: [{name: one, digest: two}]", "kind: Component", "patches: [{path: p.yaml}]",
    ],
)  # fmt: skip
def test_other_features_of_kustomize_are_refused(line: str, tmp_path: Path) -> None:
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    (tmp_path / "kustomization.yaml").write_text(head + line)
    (tmp_path / "p.yaml").write_text("{apiVersion: v1, kind: Service, metadata: {name: none}}")
    with pytest.raises(Unsupported):
        build(tmp_path)


def test_every_setting_is_one_and_goes_with_the_others(manifests: Manifests) -> None:
    assert all(name.startswith("BRAID_") for name in manifests.environment())
    settings = manifests.settings()
    assert settings.kafka.member == POD
    assert settings.checkpoint.folder == Path("/var/lib/braid") / POD
    assert settings.kafka.sasl_password is not None
    asked = CliRunner().invoke(app, [*manifests.container["args"], "--help"])
    assert asked.exit_code == 0, asked.output


def test_names_that_kubernetes_would_add_are_kept_out(manifests: Manifests) -> None:
    added = {"BRAID_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(SettingError):
        load(None, {**manifests.environment(), **added})
    assert manifests.pod["enableServiceLinks"] is False


def test_one_port_everywhere(manifests: Manifests) -> None:
    port = manifests.settings().serve.port
    assert manifests.container["ports"] == [{"name": "http", "containerPort": port}]
    for service in manifests.of("Service"):
        assert service["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]
    (rule,) = manifests.one("NetworkPolicy", "braid")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]
    assert manifests.template["metadata"]["annotations"]["prometheus.io/port"] == str(port)


def test_probes_and_prometheus_ask_for_what_is_there(manifests: Manifests) -> None:
    served = {getattr(one, "path", "") for one in health(cast(Any, None), Metrics()).routes}
    notes = manifests.template["metadata"]["annotations"]
    asked = {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}
    for probe, path in asked.items():
        assert manifests.container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
    assert {*asked.values(), notes["prometheus.io/path"]} <= served
    start = manifests.container["startupProbe"]
    text = (DEPLOY / "Dockerfile").read_text()
    assert f"--start-period={start['periodSeconds'] * start['failureThreshold']}s" in text


def test_selectors_select_the_members(manifests: Manifests) -> None:
    labels = manifests.template["metadata"]["labels"]
    chosen = [one["spec"]["selector"] for one in manifests.of("Service")]
    chosen += [manifests.members["spec"]["selector"]["matchLabels"]]
    budget, policy = (manifests.one(k, "braid") for k in ("PodDisruptionBudget", "NetworkPolicy"))
    chosen += [budget["spec"]["selector"]["matchLabels"]]
    chosen += [policy["spec"]["podSelector"]["matchLabels"]]
    for one in manifests.pod.get("topologySpreadConstraints", ()):
        chosen.append(one["labelSelector"]["matchLabels"])
    for rules in manifests.pod.get("affinity", {}).values():
        for one in rules["requiredDuringSchedulingIgnoredDuringExecution"]:
            chosen.append(one["labelSelector"]["matchLabels"])
    assert len(chosen) >= 5
    assert all(one and one.items() <= labels.items() for one in chosen)
    headless = manifests.one("Service", manifests.members["spec"]["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"


def test_the_network_lets_members_reach_their_brokers(manifests: Manifests) -> None:
    host, port = manifests.settings().kafka.bootstrap_servers.split(":")
    policy = manifests.one("NetworkPolicy", "braid")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    kafka, names = policy["egress"]
    (place,) = kafka["to"]
    assert place["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": host.split(".")[1]
    }
    assert kafka["ports"] == [{"protocol": "TCP", "port": int(port)}]
    assert {one["port"] for one in names["ports"]} == {53}


def test_images_are_those_of_this_version(manifests: Manifests) -> None:
    name, tag = manifests.container["image"].split(":")
    version = re.search(
        r'^version = "(.+)"$', (DEPLOY.parent / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert version is not None
    assert tag == version[1], "name the version in deploy/k8s too"
    gpu = "nvidia.com/gpu" in manifests.container["resources"]["limits"]
    assert f"-t {name} ." in (DEPLOY / f"Dockerfile{'.gpu' * gpu}").read_text()
    assert f"-t {name}:{tag} ." in README


def test_a_member_may_do_little_and_write_where_it_has_to(manifests: Manifests) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    whole, own = manifests.pod["securityContext"], manifests.container["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert [whole["runAsUser"], whole["runAsGroup"]] == [int(user[1]), int(user[2])]
    assert whole["fsGroup"] == int(user[2])  # else the volumes would be root's
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "emptyDir" in manifests.volume("/tmp")
    assert manifests.volume("/dev/shm")["emptyDir"]["medium"] == "Memory"
    account = manifests.one("ServiceAccount", manifests.pod["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert manifests.pod["automountServiceAccountToken"] is False


def test_secrets_are_mounted_where_they_are_looked_for_and_told_of(manifests: Manifests) -> None:
    settings = manifests.settings()
    (mount,) = (m for m in manifests.container["volumeMounts"] if m["name"] == "secret")
    assert "subPath" not in mount
    secret = manifests.volume(mount["mountPath"])["secret"]
    files = {Path(mount["mountPath"]) / item["path"] for item in secret["items"]}
    assert files == {settings.serve.tokens_file, settings.kafka.ssl_cafile}
    keys = {item["key"] for item in secret["items"]}
    for entry in manifests.container["env"]:
        if "secretKeyRef" in entry.get("valueFrom", {}):
            assert entry["valueFrom"]["secretKeyRef"]["name"] == secret["secretName"]
            keys.add(entry["valueFrom"]["secretKeyRef"]["key"])
    for one in manifests.of("TriggerAuthentication"):
        assert {each["name"] for each in one["spec"]["secretTargetRef"]} == {secret["secretName"]}
        keys |= {each["key"] for each in one["spec"]["secretTargetRef"]}
    command = README.split(f"create secret generic {secret['secretName']}")[1].split("```")[0]
    assert set(re.findall(r"--from-(?:literal|file)=([^=\s]+)=", command)) == keys
    assert not manifests.of("Secret")


def test_the_memory_that_is_planned_is_there(manifests: Manifests) -> None:
    settings = manifests.settings()
    parts = plan(settings, settings.learn.most_labels)
    limit = amount(manifests.container["resources"]["limits"]["memory"])
    assert sum(part.bytes for part in parts) * 1.25 <= limit
    assert limit == amount(manifests.container["resources"]["requests"]["memory"])
    shared = sum(part.bytes for part in parts if part.setting.startswith("serve."))
    assert shared <= amount(manifests.volume("/dev/shm")["emptyDir"]["sizeLimit"]) < limit
