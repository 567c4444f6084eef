#!/bin/sh
# Walks the six steps of docs/tutorial.md, from the Flask shop of examples/from-flask to components: `just tutorial`.
#
#   tests/tutorial/run.sh ATOLL
#
# Flask comes from PyPI into `.tools/`; the components are built by their own tools, as their reader would build them.
set -eu

atoll=$(realpath "$1")
cd "$(dirname "$0")/../.."
python=.tools/tutorial/bin/python
wanted=examples/from-flask/flask/requirements.txt
if ! cmp -s "$wanted" .tools/tutorial/installed.txt; then
    rm -rf .tools/tutorial
    python3 -m venv .tools/tutorial
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" .tools/tutorial/installed.txt
fi
exec "$python" tests/tutorial/steps.py "$atoll"
