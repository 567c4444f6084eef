"""Holds the files of deploy/compose by the Compose Specification, and what it does not know: that what a service names
is there.

No Docker reads them here. PyPI's `compose-spec` is a typed reading of the specification: it refuses unknown keys and
wrong types.
"""

import pathlib, re, sys

import compose_spec, yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy/compose"
FILES = ("compose.yml", "cluster.yml")
# Made by commands at the top of the file, so not committed.
MADE = "./certificates/"


def refused(text):
    """Why the specification refuses the text, if it does."""
    options = compose_spec.PyOptions(apply_merge=True)
    try:
        options.from_yaml(text).validate()
    except Exception as error:  # pydantic's and the parser's own
        return f"{type(error).__name__}: {error}"
    return None


def loose_ends(document):
    for name, service in document["services"].items():
        for other in service.get("depends_on", []):
            if other not in document["services"]:
                yield f"{name} depends on {other}, which is no service"
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if not target.startswith("/"):
                yield f"{name}: {volume} has no absolute target"
            if source.startswith("."):
                if not source.startswith(MADE) and not (FOLDER / source).exists():
                    yield f"{name} mounts {source}, which is not there"
            elif source not in document["volumes"]:
                yield f"{name} mounts the volume {source}, which is not declared"
        if (build := service.get("build")) and not (FOLDER / build["context"] / build["dockerfile"]).exists():
            yield f"{name} is built by a file that is not there"
        for secret in service.get("secrets", []):
            if secret not in document["secrets"]:
                yield f"{name} wants the secret {secret}, which is not declared"


complaints = []
for file in FILES:
    text = (FOLDER / file).read_text()
    if why := refused(text):
        complaints.append(f"{file}: {why}")
    complaints += [f"{file}: {why}" for why in loose_ends(yaml.safe_load(text))]
# The check itself: a misspelt key and a wrong type are found.
for good, bad in (("restart: unless-stopped", "restrat: always"), ("read_only: true", "read_only: [1]")):
    text = (FOLDER / "cluster.yml").read_text()
    assert good in text
    if not refused(text.replace(good, bad)):
        complaints.append(f"`{bad}` is not refused")
for complaint in complaints:
    print(f"compose: {complaint}", file=sys.stderr)
print(f"compose: {len(FILES)} files by the Compose Specification")
sys.exit(1 if complaints else 0)
