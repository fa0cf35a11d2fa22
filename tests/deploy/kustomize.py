"""What `kustomize build` gives, for the few features that deploy/k8s uses.

The real one takes minutes to build, too long for every run. What is not known here is refused, and
tests/deploy/test_k8s.py compares both wherever the real one is at hand.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
_FILE = "kustomization.yaml"
_HEAD = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_KNOWN = {*_HEAD, "resources", "patches", "images"}
# Lists whose members have a name; a patch replaces every other list as a whole.
_NAMED = {
    "containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}  # fmt: skip


class Unsupported(ValueError):
    """A feature of kustomize that is not known here."""


def build(folder: Path) -> list[Document]:
    """All objects of a kustomization.

    Parameters
    ----------
    folder
        Has a `kustomization.yaml`.

    Raises
    ------
    Unsupported
        It uses what is not known here, or patches what is not there.
    """
    asked: Document = yaml.safe_load((folder / _FILE).read_text())
    if unknown := set(asked) - _KNOWN:
        raise Unsupported(f"{folder / _FILE}: {', '.join(sorted(unknown))}")
    if {key: asked.get(key) for key in _HEAD} != _HEAD:
        raise Unsupported(f"{folder / _FILE}: another kind of kustomization")
    found: dict[tuple[str, str, str], Document] = {}
    for name in asked.get("resources", ()):
        place = folder / name
        for one in build(place) if place.is_dir() else _read(place):
            if found.setdefault(_key(one), one) is not one:
                raise Unsupported(f"{place}: {_key(one)} is there twice")
    for patch in asked.get("patches", ()):
        if set(patch) != {"path"}:
            raise Unsupported(f"{folder / _FILE}: a patch that is more than a path")
        for one in _read(folder / patch["path"]):
            if _key(one) not in found:
                raise Unsupported(f"{folder / patch['path']}: there is no {_key(one)}")
            found[_key(one)] = _merged(found[_key(one)], one)
    for image in asked.get("images", ()):
        if not {"name", "newTag"} <= set(image) <= {"name", "newName", "newTag"}:
            raise Unsupported(f"{folder / _FILE}: an image with {', '.join(sorted(image))}")
        for one in found.values():
            _rename(one, image)
    return list(found.values())


def _read(path: Path) -> list[Document]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def _key(one: Document) -> tuple[str, str, str]:
    if "namespace" in one["metadata"]:
        raise Unsupported(f"a namespace in {one['kind']} {one['metadata']['name']}")
    return one["apiVersion"], one["kind"], one["metadata"]["name"]


def _merged(old: Any, new: Any, name: str = "") -> Any:
    """A strategic merge: null takes away, members of named lists meet by their name."""
    if isinstance(old, dict) and isinstance(new, dict):
        if any(key.startswith("$") for key in new):
            raise Unsupported(f"a directive in {', '.join(new)}")
        made = {key: value for key, value in old.items() if key not in new}
        for key, value in new.items():
            if value is not None:
                made[key] = _merged(old.get(key), value, key)
        return made
    if isinstance(old, list) and isinstance(new, list) and name in _NAMED:
        key = _NAMED[name]
        patches = {one[key]: one for one in new}
        kept = [_merged(one, patches.pop(one[key])) if one[key] in patches else one for one in old]
        return [*patches.values(), *kept]  # new ones come first, as kustomize has them
    if isinstance(old, list) and isinstance(new, list) and any(isinstance(o, dict) for o in old):
        raise Unsupported(f"a patch of the list {name}")  # it may have a name that we do not know
    return copy.deepcopy(new)


def _rename(one: Any, image: Document) -> None:
    """Give containers the image's new name and tag."""
    for key, value in one.items() if isinstance(one, dict) else ():
        for part in value if isinstance(value, list) else [value]:
            _rename(part, image)
        if key in {"containers", "initContainers"}:
            for part in value:
                if part["image"].rpartition(":")[0] == image["name"]:
                    part["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
