"""Plays the kubelet for the pod that the chart renders, without a container: as root on Linux.

    unshare --mount --net --propagation private pod.py PROGRAM RENDERED.yml EMPTY_FOLDER

All that is written and mounted is in a file system in memory on EMPTY_FOLDER, which this namespace alone has. It ends
with the namespace, so nothing is ever deleted: a deletion would follow the mounts out of it.

The root folder has what the image has: the program with its libraries, the components, nothing else. It is read-only,
the mounts are those of the pod, and so are user, environment, arguments and folder; there are no capabilities, and no
new rights. The probes are sent as the pod has them, to an address that is not loopback. The pod's commands of the guide
run beside the host (`kubectl exec`). At the end comes SIGTERM, and the host must be gone within its grace.
"""

import ctypes, os, pathlib, re, shutil, signal, subprocess, sys, time, urllib.error, urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIBC = ctypes.CDLL(None, use_errno=True)
BIND, READ_ONLY, REMOUNT = 4096, 1, 32  # of mount(2)
NO_NEW_PRIVS, CAPBSET_DROP, LAST_CAPABILITY = 38, 24, 40  # of prctl(2)
ADDRESS = "10.0.0.5"  # the pod's
SECRET = "0123456789abcdef0123456789abcdef"


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def bind(source, target, flags=0):
    call("mount", bytes(source), bytes(target), None, BIND, None)
    if flags:
        call("mount", None, bytes(target), None, BIND | REMOUNT | flags, None)


def image(program, root):
    """What the Dockerfile copies, with the libraries that its base has."""
    for folder in ("usr/local/bin", "proc", "dev", "etc", "srv/atoll/components/dist", "srv/atoll/.atoll"):
        (root / folder).mkdir(parents=True)
    shutil.copy(program, root / "usr/local/bin/atoll")
    for library in re.findall(r"(/\S+) \(0x", subprocess.check_output(["ldd", program], text=True)):
        target = root / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for component in ("users", "products"):
        shutil.copy(ROOT / f"components/dist/{component}.wasm", root / "srv/atoll/components/dist")
    (root / "srv/atoll/atoll.toml").write_text("the image's own, which the mount hides")
    for device in ("null", "urandom"):
        (root / "dev" / device).touch()


class Pod:
    def __init__(self, program, items, work):
        kind = lambda name: next(item for item in items if item["kind"] == name)
        self.spec = kind("StatefulSet")["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.root, state, manifest = work / "root", work / "state", work / "manifest"
        self.root.mkdir()
        image(program, self.root)
        user = self.spec["securityContext"]
        self.user, self.group = user["runAsUser"], user["fsGroup"]
        state.mkdir()
        os.chown(state, 0, self.group)  # as a kubelet leaves a volume: root's, and open to fsGroup
        state.chmod(0o2775)
        manifest.mkdir()
        for name, text in kind("ConfigMap")["data"].items():
            (manifest / name).write_text(text)
        sources = {"state": state, "manifest": manifest}
        bind(self.root, self.root)
        bind(pathlib.Path("/proc"), self.root / "proc")
        for device in ("null", "urandom"):
            bind(pathlib.Path("/dev") / device, self.root / "dev" / device)
        for mount in self.container["volumeMounts"]:
            source = sources[mount["name"]] / mount.get("subPath", ".")
            bind(source, self.root / mount["mountPath"][1:], READ_ONLY if mount.get("readOnly") else 0)
        assert self.container["securityContext"]["readOnlyRootFilesystem"]
        call("mount", None, bytes(self.root), None, BIND | REMOUNT | READ_ONLY, None)
        self.environment = {entry["name"]: self.value(entry) for entry in self.container["env"]}

    def value(self, entry):
        source = entry.get("valueFrom", {})
        return entry.get("value") or ("atoll-0" if "fieldRef" in source else SECRET)

    def enter(self):
        """In the child, before the program: its root folder, its user, and no rights."""
        os.chroot(self.root)
        os.chdir(self.container["workingDir"])
        for capability in range(LAST_CAPABILITY + 1):
            call("prctl", CAPBSET_DROP, capability, 0, 0, 0)
        call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
        os.setgroups([self.group])
        os.setgid(self.spec["securityContext"]["runAsGroup"])
        os.setuid(self.user)

    def run(self, arguments, **options):
        program = ["/usr/local/bin/atoll", *arguments]
        return subprocess.Popen(program, env=self.environment, preexec_fn=self.enter, text=True, **options)

    def port(self, name):
        return next(port["containerPort"] for port in self.container["ports"] if port["name"] == name)

    def probe(self, name):
        probe = self.container[name]
        get = probe["httpGet"]
        return answer(f"http://{ADDRESS}:{self.port(get['port'])}{get['path']}", probe.get("timeoutSeconds", 1))


def answer(address, timeout=5):
    try:
        with urllib.request.urlopen(address, timeout=timeout) as got:
            return got.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def until(what, poll, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if poll():
            return
        time.sleep(0.05)
    raise SystemExit(f"pod: {what}: not within {seconds} s")


def main():
    program, rendered, work = sys.argv[1:]
    work = pathlib.Path(work)
    assert not any(work.iterdir()), "the folder must be empty"
    outside = os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    assert os.readlink("/proc/self/ns/mnt") != outside, "a namespace of its own: unshare"
    call("mount", b"pod", bytes(work), b"tmpfs", 0, None)
    items = [item for item in yaml.safe_load_all(pathlib.Path(rendered).read_text()) if item]
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pod = Pod(program, items, work)
    with open(work / "log", "w+") as log:
        host = pod.run(pod.container["args"], stdout=log, stderr=log)
        try:
            live(pod, host)
        except BaseException:
            log.seek(0)
            print(log.read()[-4000:], file=sys.stderr)
            raise
        finally:
            host.kill()
            host.wait()
    print("pod: started, probed, asked and drained as the chart says")


def live(pod, host):
    """From the start to the end of the host."""
    startup = pod.container["startupProbe"]
    bound = startup["periodSeconds"] * startup["failureThreshold"]
    until("the start", lambda: pod.probe("startupProbe") == 200, bound)
    until("readiness", lambda: pod.probe("readinessProbe") == 200, 60)
    assert pod.probe("livenessProbe") == 200
    gateway = f"http://{ADDRESS}:{pod.port('http')}"
    assert answer(f"{gateway}/api/users") == answer(f"{gateway}/api/products") == 200
    assert answer(f"http://{ADDRESS}:{pod.port('admin')}/metrics") == 401, "the admin asks for its token"
    status = pathlib.Path(f"/proc/{host.pid}/status").read_text()
    assert re.search(r"^CapBnd:\s0+$", status, re.M) and re.search(r"^NoNewPrivs:\s1$", status, re.M), status
    for arguments in (["ps"], ["check"], ["state", "snapshot", "users"], ["state", "snapshots", "users"]):
        ran = pod.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = ran.communicate(timeout=60)[0]
        assert ran.returncode == 0, f"atoll {' '.join(arguments)}: {said}"
    host.send_signal(signal.SIGTERM)
    before = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    host.wait(timeout=pod.spec["terminationGracePeriodSeconds"] - before)
    assert host.returncode == 0, host.returncode


main()
