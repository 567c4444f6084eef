"""Holds the chart and the manifests in deploy/kubernetes, which are made of it.

    chart.py            checks
    chart.py --write    writes deploy/kubernetes anew: `./just manifests`
    chart.py --out DIR  checks, and leaves what was rendered in DIR, for other linters

Helm renders the chart with its default values, with those of each file in CASES, and must refuse each of REFUSED. What
was rendered is validated strictly by the API's schemas of each supported version of Kubernetes, and the objects must
refer to one another rightly, which no schema knows.
"""

import argparse, copy, json, pathlib, sys

import kubernetes_validate, yaml
from render import CHART, ROOT, Refused, lint, render

VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
CASES = {
    "default": None,
    "cluster": CHART / "values-cluster.yaml",
    "everything": ROOT / "tests/deploy/values/everything.yml",
    "stateless": ROOT / "tests/deploy/values/stateless.yml",
}
# The plain manifests, and the case that each is.
PLAIN = {"atoll.yml": "default", "cluster.yml": "cluster"}
# Values that Helm must refuse, each with a part of the reason.
REFUSED = (
    ({"replica": 3}, "replica"),
    ({"replicas": 0}, "minimum: got 0, want 1"),
    ({"image": {"digest": "latest"}}, "does not match pattern"),
    ({"replicas": 3}, "each host would have data of its own"),
    ({"autoscaling": {"enabled": True}}, "each host would have data of its own"),
    ({"autoscaling": {"metrics": {"in_flight": "3"}}}, "in_flight"),
    ({"manifest": "[gateway"}, "manifest: toml: line 1"),
    ({"secrets": {"files": ["a/b"]}}, "does not match pattern"),
)
# A schema does not know of these kinds: they are of the Prometheus operator.
WITHOUT_SCHEMA = ("PodMonitor",)


def keys(tree, schema, at=""):
    """Each key of the values that schema and defaults do not both have, as a complaint."""
    properties = schema.get("properties")
    if properties is None or not isinstance(tree, dict):
        return
    for name in sorted(set(properties) ^ set(tree)):
        if f"{at}{name}" != "global":
            yield f"{at}{name}: only in {'values.yaml' if name in tree else 'values.schema.json'}"
    for name in set(properties) & set(tree):
        yield from keys(tree[name], properties[name], f"{at}{name}.")


def unchanged(defaults, cases, at=""):
    """Each default that every case leaves as it is: its other branch was not rendered."""
    for name, value in defaults.items():
        others = [case[name] for case in cases if name in case]
        if isinstance(value, dict) and value:
            yield from unchanged(value, others, f"{at}{name}.")
        elif all(other == value for other in others):
            yield f"{at}{name}: every case has the default"


def invalid(item):
    """Why the API's schemas refuse the object, for each version that does."""
    if item["kind"] in WITHOUT_SCHEMA:
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            at = ".".join(map(str, error.path))
            yield f"{item['kind']} {item['metadata']['name']}, Kubernetes {version}: {at}: {error.message}"


def covers(selector, labels):
    return selector.items() <= labels.items()


def loose_ends(items):
    """What an object names and no other object has."""
    of = lambda kind: [item for item in items if item["kind"] == kind]
    [hosts] = of("StatefulSet")
    pod = hosts["spec"]["template"]
    labels, [container] = pod["metadata"]["labels"], pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    if not covers(hosts["spec"]["selector"]["matchLabels"], labels):
        yield "the StatefulSet does not select its own pods"
    if hosts["spec"]["serviceName"] not in [item["metadata"]["name"] for item in of("Service")]:
        yield "the StatefulSet's serviceName is no Service"
    for service in of("Service"):
        if not covers(service["spec"]["selector"], labels):
            yield f"Service {service['metadata']['name']} selects no pod"
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"Service {service['metadata']['name']}: the pod has no port {port['targetPort']}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if container[probe]["httpGet"]["port"] not in ports:
            yield f"{probe}: the pod has no such port"
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in hosts["spec"].get("volumeClaimTemplates", [])}
    if (mounted := {mount["name"] for mount in container["volumeMounts"]}) != volumes:
        yield f"volumes that are mounted, and that there are, differ: {sorted(mounted ^ volumes)}"
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for item in of(kind):
            if not covers(item["spec"]["selector"]["matchLabels"], labels):
                yield f"the {kind} selects no pod"
    for policy in of("NetworkPolicy"):
        if not covers(policy["spec"]["podSelector"]["matchLabels"], labels):
            yield "the NetworkPolicy selects no pod"
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        if named != ports:
            yield f"ports of the NetworkPolicy and of the pod differ: {sorted(named ^ ports)}"
    for scaler in of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("StatefulSet", hosts["metadata"]["name"]):
            yield "the HorizontalPodAutoscaler scales something else"
        if "replicas" in hosts["spec"]:
            yield "replicas: the HorizontalPodAutoscaler sets them, and each upgrade would set them back"
    account = pod["spec"]["serviceAccountName"]
    bound = {subject["name"] for item in of("RoleBinding") for subject in item["subjects"]}
    if bound and bound != {account}:
        yield "a RoleBinding binds another account"
    if bool(bound) != pod["spec"]["automountServiceAccountToken"]:
        yield "the pod has a token without a Role, or a Role without a token"


def plain(text, case):
    """The rendered text as a file for those who do not use Helm: without what Helm writes for itself."""
    own = ("# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: ")
    lines = [line.rstrip() for line in text.splitlines() if not line.strip().startswith(own)]
    head = [f"# The chart's {case} values, rendered by `./just manifests`: change deploy/helm/atoll instead."]
    body = "\n".join(head + lines)
    while "\n\n\n" in body:
        body = body.replace("\n\n\n", "\n\n")
    return body.replace("\n\n---", "\n---").rstrip("\n") + "\n"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--out", type=pathlib.Path)
    arguments = arguments.parse_args()
    complaints = []

    linted = lint()
    if linted["Errors"]:
        complaints.append(f"helm lint: {linted['Errors']}")
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    complaints += keys(defaults, json.loads((CHART / "values.schema.json").read_text()))
    complaints += unchanged(defaults, [yaml.safe_load(file.read_text()) for file in CASES.values() if file])

    rendered = {}
    for case, file in CASES.items():
        text, sent = render(yaml.safe_load(file.read_text()) if file else {})
        items = [item for item in yaml.safe_load_all(text) if item]
        rendered[case] = text
        assert len(items) == len(sent) > 3, f"{case}: rendered {len(items)} objects, and sent {len(sent)}"
        complaints += [f"{case}: {why}" for item in items for why in [*invalid(item)]]
        complaints += [f"{case}: {why}" for why in loose_ends(items)]
        if arguments.out:
            (arguments.out / f"{case}.yml").write_text(text)

    for values, reason in REFUSED:
        try:
            render(values)
            complaints.append(f"Helm takes the values {values}")
        except Refused as refused:
            if reason not in str(refused):
                complaints.append(f"{values}: refused with other words: {refused}")

    # The check itself: a misspelt key deep in an object is found.
    [hosts] = [item for item in yaml.safe_load_all(rendered["default"]) if item and item["kind"] == "StatefulSet"]
    misspelt = copy.deepcopy(hosts)
    misspelt["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    if len([*invalid(misspelt)]) != len(VERSIONS):
        complaints.append("the schemas let a misspelt key pass")

    for name, case in PLAIN.items():
        file, text = ROOT / "deploy/kubernetes" / name, plain(rendered[case], case)
        if arguments.write:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            complaints.append(f"deploy/kubernetes/{name} is not what the chart renders: ./just manifests")

    for complaint in complaints:
        print(f"chart: {complaint}", file=sys.stderr)
    print(f"chart: {len(CASES)} cases by the schemas of Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}")
    sys.exit(1 if complaints else 0)


main()
