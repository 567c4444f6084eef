"""Asks a real Prometheus every query of the Grafana dashboard, of the rules and of docs/operations.md.

    queries.py GATEWAY ADMIN PROMETHEUS_PID

A query must be accepted. Those in MUST_ANSWER must have a value as well, since the traffic that this script makes
causes one.
"""

import json, pathlib, re, socket, sys, threading, time, urllib.error, urllib.parse, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEADLINE = 60  # seconds, until Prometheus has scraped and computed what is asked
MUST_ANSWER = (
    "atoll_gateway_requests_total",
    "atoll_gateway_failures_total",
    "atoll_gateway_duration_seconds_bucket",
    "atoll_requests_total",
    "atoll_latency_seconds_bucket",
    "atoll_breaker_state",
    "atoll_endpoint_ready",
    "atoll_revision_info",
    "atoll_in_flight",
    "atoll_waiting",
    "atoll_pool_slots",
    "atoll_state_degraded",
    "atoll_state_operations_total",
    "atoll_state_read_bytes_total",
)


def fetch(url, **options):
    with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=10) as answer:
        return answer.read()


def traffic(gateway, ended):
    """Good requests, and some that the service refuses or that no route has."""
    while not ended.is_set():
        for path in ("/api/users", "/api/users/0", "/api/products", "/nowhere"):
            try:
                fetch(gateway + path)
            except urllib.error.HTTPError:
                pass
        time.sleep(0.02)


def address_of_process(pid):
    """Where the process listens: its log does not say the port that the system picked."""
    inodes = {
        link.group(1)
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()
        if (link := re.match(r"socket:\[(\d+)\]", str(entry.readlink() if entry.is_symlink() else "")))
    }
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                return f"http://127.0.0.1:{int(fields[1].rsplit(':', 1)[1], 16)}"
    return None


def eventually(what, poll):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            if found := poll():
                return found
        except (OSError, urllib.error.URLError, socket.error):
            pass
        time.sleep(0.1)
    raise SystemExit(f"queries: {what}: not within {DEADLINE} s")


def queries():
    """Each query with the place where it stands."""
    for panel in json.loads((ROOT / "deploy/grafana/atoll.json").read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5s").replace("$service", ".*")
            yield f'Grafana, "{panel["title"]}"', text
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
    rule = r"- (?:alert|record): (\S+)\n\s+expr: (?:\|-\n)?((?:.|\n)*?)\n\s+(?:for|labels|- )"
    for name, text in re.findall(rule, rules):
        yield f"rule {name}", " ".join(text.split()).removesuffix(" - record:")
    adapter = (ROOT / "deploy/prometheus/adapter.yml").read_text()
    for name, text in re.findall(r"name: \{ as: (\w+) \}\n\s+metricsQuery: (.*)", adapter):
        for template, value in (("<<.Series>>", name), ("<<.LabelMatchers>>", ""), ("<<.GroupBy>>", "instance")):
            text = text.replace(template, value)
        yield f"adapter, {name}", text
    guide = (ROOT / "docs/operations.md").read_text()
    section = guide.split("### Questions")[1].split("\n## ")[0]
    for question, text in re.findall(r"^\| ([^|]*\?) \| `((?:[^`]|\\`)*)` \|", section, re.M):
        yield f'docs/operations.md, "{question}"', text.replace("[5m]", "[5s]")


def main():
    gateway, admin, prometheus_pid = sys.argv[1:4]
    ended = threading.Event()
    threading.Thread(target=traffic, args=(gateway, ended), daemon=True).start()
    prometheus = eventually("Prometheus listens", lambda: address_of_process(prometheus_pid))

    def ask(text):
        answer = json.loads(fetch(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": text})))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    eventually("a scrape", lambda: ask('up{job="atoll"} == 1'))
    eventually("rates of the gateway", lambda: ask("sum(rate(atoll_gateway_requests_total[5s])) > 0"))
    count, bad = 0, []
    for place, text in queries():
        count += 1
        try:
            must = any(name in text for name in MUST_ANSWER) and not re.search(r'>|==|5\.\.|!="answer"', text)
            if must:
                eventually(f"{place}: {text}", lambda: ask(text))
            else:
                ask(text)
        except urllib.error.HTTPError as error:
            bad.append(f"{place}: {text}: {error.read().decode()}")
    ended.set()
    assert count > 30, f"only {count} queries were found: the search for them is broken"
    for line in bad:
        print(f"queries: refused: {line}", file=sys.stderr)
    print(f"queries: {count} asked, {len(bad)} refused")
    sys.exit(1 if bad else 0)


main()
