"""Holds deploy/systemd: `unit.py PROGRAM FOLDER`.

`systemd-analyze` reads the unit, and rates what it leaves open. A host runs in the folders that the unit assumes, under
strace: each of its system calls must be one that the unit's filter lets through, since a filtered one fails only where
the unit runs, and no systemd runs here.
"""

import os, pathlib, re, shutil, signal, subprocess, sys, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "deploy/systemd/atoll.service"
DROP_IN = ROOT / "deploy/systemd/privileged-ports.conf"
# Tenths of the exposure that systemd-analyze computes, from 0 to 100: 252 says 11, and 14 with the drop-in.
MOST, MOST_WITH_PORTS = "12", "15"


def rate(unit, most):
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={most}", str(unit)],
        capture_output=True, text=True,
    )
    assert rated.returncode == 0, rated.stdout
    return re.search(r"Overall exposure level.*: ([0-9.]+)", rated.stdout).group(1)


def admitted():
    """The system calls that the unit's filter lets through."""
    printed = subprocess.check_output(["systemd-analyze", "syscall-filter", "--no-pager"], text=True)
    sets, name = {}, None
    for line in printed.splitlines():
        if line.startswith("@"):
            sets[name := line.strip()] = []
        elif name and line.strip() and not line.strip().startswith("#"):
            sets[name].append(line.strip())

    def members(of):
        return set().union(*(members(one) if one.startswith("@") else {one} for one in sets[of]))

    calls = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        taken = set().union(*map(members, value.lstrip("~").split()))
        calls = calls - taken if value.startswith("~") else calls | taken
    assert len(calls) > 100, calls
    return calls


def eventually(what, poll, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := poll():
            return found
        time.sleep(0.05)
    raise SystemExit(f"unit: {what}: not within {seconds} s")


def traced(program, folder):
    """The system calls of a host that starts, serves, keeps a snapshot, reads its manifest again, and ends."""
    home, state = folder / "etc", folder / "var"
    home.mkdir(parents=True)
    state.mkdir()
    (home / ".atoll").symlink_to(state)  # as the unit says
    shutil.copy(ROOT / "deploy/helm/atoll/files/atoll.toml", home)
    (home / "components").mkdir()
    (home / "components/dist").symlink_to(ROOT / "components/dist")
    anywhere = {"ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0"}
    environment = anywhere | {"PATH": os.environ["PATH"]}
    atoll = lambda *arguments: subprocess.check_output([program, *arguments], cwd=home, env=environment, text=True)
    trace, log = folder / "trace", folder / "unit.log"
    with open(log, "w") as output:
        host = subprocess.Popen(
            ["strace", "--follow-forks", f"--output={trace}", program, "run", home / "atoll.toml"],
            cwd=home, env=environment, stdout=output, stderr=output,
        )
    try:
        listens = lambda: re.search(r"^gateway listening on (\S+)$", log.read_text(), re.M)
        gateway = eventually("the host listens", listens).group(1)
        assert urllib.request.urlopen(f"{gateway}/api/users", timeout=30).status == 200
        atoll("state", "snapshot", "users")
        assert "ready" in atoll("ps")
        [child] = pathlib.Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGHUP)
        eventually("SIGHUP is heeded", lambda: "SIGHUP: the manifest has not changed" in log.read_text())
        os.kill(int(child), signal.SIGTERM)
        host.wait(timeout=75)
    finally:
        # A tracer that is killed leaves what it traced: the host goes first.
        if host.poll() is None:
            for child in pathlib.Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
            host.kill()
            host.wait()
    assert {"cache", "state.redb"} <= {path.name for path in state.iterdir()}, "the host does not use the link"
    return set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(errors="replace"), re.M))


def main():
    program, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    verified = subprocess.run(["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True)
    # The program of the unit is not installed here; all else must be in order.
    complaints = [line for line in verified.stderr.splitlines() if "is not executable" not in line]
    assert not complaints, complaints
    both = folder / "atoll.service.d"
    both.mkdir(parents=True)
    shutil.copy(UNIT, folder)
    alone = rate(folder / UNIT.name, MOST)
    shutil.copy(DROP_IN, both)
    with_ports = rate(folder / UNIT.name, MOST_WITH_PORTS)
    calls, filtered = traced(program, folder / "host"), admitted()
    assert len(calls) > 30, f"the trace is too short: {sorted(calls)}"
    assert calls <= filtered, f"the unit's filter refuses {sorted(calls - filtered)}"
    print(f"unit: exposure {alone}, with ports below 1024 {with_ports}; {len(calls)} system calls, none refused")


main()
