"""Renders the chart with Helm itself, version 4, out of PyPI's `helm-sdkpy`.

That package has `install` and no `template`, and `install` wants an API server. So a stand-in in this process answers
Helm as an API server that has nothing yet and takes everything. Nothing leaves the process.
"""

import asyncio, http.server, json, pathlib, threading

import helm_sdkpy, yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy/helm/atoll"

# What the stand-in says that it has: for each group and version, the kinds with their plural names.
RESOURCES = {
    "v1": {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "ServiceAccount": "serviceaccounts"},
    "apps/v1": {"StatefulSet": "statefulsets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "monitoring.coreos.com/v1": {"PodMonitor": "podmonitors"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "rbac.authorization.k8s.io/v1": {"Role": "roles", "RoleBinding": "rolebindings"},
}


class Refused(Exception):
    """Helm did not take the values or the chart; its own words."""


class StandIn(http.server.BaseHTTPRequestHandler):
    """An API server that has nothing yet and takes everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        version = path.removeprefix("apis/").removeprefix("api/")
        if path == "version":
            major, minor = self.server.kubernetes.split(".")
            self.document(200, {"major": major, "minor": minor, "gitVersion": f"v{self.server.kubernetes}.0"})
        elif path == "api":
            self.document(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "apis":
            groups = [group(version) for version in RESOURCES if "/" in version]
            self.document(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        elif version in RESOURCES:
            kinds = [
                {"kind": kind, "name": name, "namespaced": True, "verbs": ["create", "get", "list", "patch"]}
                for kind, name in RESOURCES[version].items()
            ]
            self.document(200, {"kind": "APIResourceList", "groupVersion": version, "resources": kinds})
        else:
            self.document(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

    def do_POST(self):
        # Helm's own record of the release comes as protobuf, all else as JSON; either goes back as it came.
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-type"] == "application/json":
            self.server.created.append(json.loads(body))
        self.send(201, self.headers["content-type"], body)

    do_PUT = do_POST

    def document(self, status, document):
        self.send(status, "application/json", json.dumps(document).encode())

    def send(self, status, media_type, body):
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def group(version):
    at = {"groupVersion": version, "version": version.split("/")[1]}
    return {"name": version.split("/")[0], "versions": [at], "preferredVersion": at}


def render(values, namespace="atoll", kubernetes="1.37"):
    """What Helm made of the chart with these values: the text, and the objects as Helm sent them."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.kubernetes, server.created = kubernetes, []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    kubeconfig = {
        "apiVersion": "v1", "kind": "Config", "current-context": "stand-in",
        "users": [{"name": "nobody", "user": {}}],
        "clusters": [{"name": "stand-in", "cluster": {"server": address}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "nobody"}}],
    }
    try:
        configuration = helm_sdkpy.Configuration(namespace=namespace, kubeconfig=yaml.safe_dump(kubeconfig))
        install = helm_sdkpy.Install(configuration)
        release = asyncio.run(install.run("atoll", str(CHART), values=values, wait=False))
    except helm_sdkpy.InstallError as error:
        raise Refused(str(error)) from error
    finally:
        server.shutdown()
    return release["manifest"], server.created


def lint():
    """What `helm lint` says of the chart."""
    configuration = helm_sdkpy.Configuration(namespace="atoll", kubeconfig="apiVersion: v1\nkind: Config\n")
    return asyncio.run(helm_sdkpy.Lint(configuration).run(str(CHART)))
