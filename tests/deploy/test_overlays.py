"""What the overlays add: a device, and members that come and go with the lag."""

from __future__ import annotations

import re

import kubernetes_validate

from tests.deploy.manifests import DEPLOY, amount, rendered

BASE, GPU, REPLICAS = (rendered(name) for name in ("base", "overlays/gpu", "overlays/replicas"))
README = (DEPLOY / "README.md").read_text()


def test_the_gpu_is_asked_for_and_used() -> None:
    assert GPU.container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    (bears,) = GPU.pod["tolerations"]
    assert bears["key"] == "nvidia.com/gpu"
    settings = GPU.settings()
    assert settings.index.kind == "faiss_gpu"
    assert not settings.serve.process  # an index on a device is not shared with another process
    assert {**GPU.container, **different()} == {**BASE.container, **different()}


def different() -> dict[str, None]:
    return dict.fromkeys(("image", "resources"))


def test_snapshots_of_all_members_are_in_one_place() -> None:
    volume = REPLICAS.volume("/var/lib/braid")["persistentVolumeClaim"]
    claim = REPLICAS.one("PersistentVolumeClaim", volume["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "volumeClaimTemplates" not in REPLICAS.members["spec"]
    checkpoint = REPLICAS.settings().checkpoint
    assert checkpoint.folder is not None
    assert checkpoint.folder.parent == checkpoint.start_from
    (own,) = BASE.members["spec"]["volumeClaimTemplates"]
    most = REPLICAS.one("ScaledObject", "braid")["spec"]["maxReplicaCount"]
    one = amount(own["spec"]["resources"]["requests"]["storage"])
    assert amount(claim["spec"]["resources"]["requests"]["storage"]) == most * one


def test_no_two_members_share_a_node() -> None:
    (rule,) = REPLICAS.pod["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert REPLICAS.one("PodDisruptionBudget", "braid")["spec"]["maxUnavailable"] == 1


def test_the_scaler_looks_at_the_group_that_the_members_are_in() -> None:
    scaled = REPLICAS.one("ScaledObject", "braid")
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    aim = scaled["spec"]["scaleTargetRef"]
    members = REPLICAS.members
    assert (aim["apiVersion"], aim["kind"]) == (members["apiVersion"], members["kind"])
    assert aim["name"] == members["metadata"]["name"]
    (trigger,) = scaled["spec"]["triggers"]
    asked, settings = trigger["metadata"], REPLICAS.settings()
    assert trigger["type"] == "kafka"
    assert asked["bootstrapServers"] == settings.kafka.bootstrap_servers
    assert asked["consumerGroup"] == settings.kafka.group
    assert asked["topic"] == settings.topics.events
    assert all(isinstance(value, str) for value in asked.values())  # KEDA takes nothing else
    mechanisms = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256"}
    mechanisms["SCRAM-SHA-512"] = "scram_sha512"
    assert asked["sasl"] == mechanisms[str(settings.kafka.sasl_mechanism)]
    assert (asked["tls"] == "enable") == settings.kafka.security_protocol.endswith("SSL")
    login = REPLICAS.one("TriggerAuthentication", trigger["authenticationRef"]["name"])
    given = {one["parameter"]: one["key"] for one in login["spec"]["secretTargetRef"]}
    assert given.keys() == {"username", "password", "ca"}
    assert given["username"] == settings.kafka.sasl_username
    assert settings.kafka.sasl_password is not None
    assert given["password"] == settings.kafka.sasl_password.get_secret_value()


def test_what_keda_is_to_hand_on_to_kubernetes_fits_its_schema() -> None:
    spec = REPLICAS.one("ScaledObject", "braid")["spec"]
    made = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "braid"},
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
        },
    }
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)


def test_there_are_as_many_partitions_as_members_at_most() -> None:
    spec = REPLICAS.one("ScaledObject", "braid")["spec"]
    partitions = re.search(r"topics create .*--partitions (\d+)", README)
    assert partitions is not None
    assert 3 == spec["minReplicaCount"] <= spec["maxReplicaCount"] == int(partitions[1])
    assert "replicas" not in REPLICAS.members["spec"]  # an apply would undo what was scaled
