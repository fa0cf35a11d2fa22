"""The manifests of deploy/k8s, rendered, and what a member would find in its pod."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from stream.config import Settings, load
from tests.deploy.kustomize import Document, build

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FOLDERS = ("base", "overlays/gpu", "overlays/replicas")
POD = "braid-0"
_UNITS = {"": 1, "m": 1e-3, "Mi": 1 << 20, "Gi": 1 << 30}


class Manifests:
    """The objects of one kustomization.

    Attributes
    ----------
    all : list of dict
    members : dict
        The StatefulSet.
    pod, container : dict
        Its pod's specification, and that of the one container.
    """

    def __init__(self, folder: str) -> None:
        self.all = build(DEPLOY / "k8s" / folder)
        self.members = self.one("StatefulSet", "braid")
        self.template: Document = self.members["spec"]["template"]
        self.pod: Document = self.template["spec"]
        (self.container,) = self.pod["containers"]

    def one(self, kind: str, name: str) -> Document:
        """The object of this kind and name."""
        (found,) = (
            each for each in self.all if each["kind"] == kind and each["metadata"]["name"] == name
        )
        return found

    def of(self, kind: str) -> list[Document]:
        """All objects of a kind."""
        return [each for each in self.all if each["kind"] == kind]

    def environment(self) -> dict[str, str]:
        """What the first member's process finds; a secret's value is the name of its key."""
        found: dict[str, str] = {}
        for source in self.container["envFrom"]:
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        for entry in self.container["env"]:
            origin = entry.get("valueFrom", {})
            if "fieldRef" in origin:
                assert origin["fieldRef"]["fieldPath"] == "metadata.name"
                value = POD
            else:
                value = entry.get("value") or origin["secretKeyRef"]["key"]
            # as Kubernetes does: only what stands before is known
            found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], value)
        return found

    def settings(self) -> Settings:
        """The settings of the first member; unknown ones are refused."""
        return load(None, self.environment())

    def volume(self, path: str) -> Document:
        """What is mounted at a path."""
        (name,) = (m["name"] for m in self.container["volumeMounts"] if m["mountPath"] == path)
        claims = self.members["spec"].get("volumeClaimTemplates", [])
        (found,) = [
            *(one for one in self.pod["volumes"] if one["name"] == name),
            *(one for one in claims if one["metadata"]["name"] == name),
        ]
        return found


@cache
def rendered(folder: str) -> Manifests:
    """One of `FOLDERS`."""
    return Manifests(folder)


def amount(quantity: Any) -> float:
    """A quantity, such as 4Gi, as a number."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(quantity)).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
