"""Types every command of docs/deployment.md: `guide.py PROGRAM FOLDER`.

Each line that begins with `$ ` in a `console` block is run by bash, in the order of the page, in a folder with a
manifest, beside a host that serves it. A command that fails ends it. `systemctl` is a function that starts and ends
that host.
"""

import os, pathlib, re, shlex, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUIDE = ROOT / "docs/deployment.md"

# What the guide's machine has: one unit, `atoll`.
SYSTEMCTL = r"""
systemctl() {
    case $1 in
    start)
        atoll run atoll.toml >out 2>>log &
        host=$!
        for _ in $(seq 600); do
            if grep -q '^admin listening' out; then return 0; fi
            kill -0 "$host" 2>/dev/null || { cat log >&2; return 1; }
            sleep 0.1
        done
        echo "the host did not start" >&2
        return 1
        ;;
    stop) kill -TERM "$host" && wait "$host" ;;
    restart) systemctl stop atoll && systemctl start atoll ;;
    reload)
        kill -HUP "$host"
        for _ in $(seq 600); do
            if grep -qE 'a manifest was applied|SIGHUP' log; then return 0; fi
            sleep 0.1
        done
        return 1
        ;;
    is-active) kill -0 "$host" ;;
    esac
}
trap 'kill -KILL "$host" 2>/dev/null' EXIT
systemctl start atoll
curl --fail --silent --show-error --output /dev/null "$(sed -n 's/^gateway listening on //p' out)/api/users" \
    --json '{"name": "Ada", "email": "ada@example.org"}'
"""


def commands():
    for block in re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(), re.M | re.S):
        for line in block.splitlines():
            assert line.startswith("$ "), f"not a command: {line}"
            yield line.removeprefix("$ ")


def main():
    program, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    binaries, home = folder / "bin", folder / "home"
    binaries.mkdir(parents=True)
    (binaries / "atoll").symlink_to(program)
    home.mkdir(mode=0o700)
    manifest = (ROOT / "deploy/helm/atoll/files/atoll.toml").read_text()
    (home / "atoll.toml").write_text(manifest + '\n[audit]\nfile = "audit.jsonl"\n\n[history]\n')
    (home / "components").mkdir()
    (home / "components/dist").symlink_to(ROOT / "components/dist")
    typed = list(commands())
    backup = folder / "atoll-backup.tar.gz"
    here = lambda line: line.replace("/tmp/atoll-backup.tar.gz", str(backup))
    lines = [f"echo {shlex.quote('+ ' + line)} >&2\n{here(line)}" for line in typed]
    survives = 'curl --fail --silent "$(sed -n \'s/^gateway listening on //p\' out)/api/users" | grep -q Ada\n'
    script = "\n".join(["set -euo pipefail", SYSTEMCTL, *lines, survives])
    environment = {
        "PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(home), "NO_COLOR": "1",
        "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0", "ATOLL_LOG": "access=off,info",
    }
    done = subprocess.run(["bash", "-c", script], cwd=home, env=environment, capture_output=True, text=True)
    if done.returncode != 0 or len(typed) < 30:
        print(done.stdout[-3000:], done.stderr[-3000:], sep="\n", file=sys.stderr)
        sys.exit(f"guide: it ended with {done.returncode} after the last command above")
    print(f"guide: {len(typed)} commands of {GUIDE.relative_to(ROOT)}, none failed, and the data are there")


main()
