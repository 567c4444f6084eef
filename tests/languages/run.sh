#!/bin/sh
# The first hour in each language, with its own tools from their registries: new, build, dev, a request, an edit, the
# served change, a thrown error, test. Prints a row for each. `just languages`, `just languages "js ts"`.
#
#   tests/languages/run.sh ATOLL [LANGUAGES]
set -eu

atoll=$(realpath "$1")
contract=$(realpath "$(dirname "$0")/../../wit/products")
languages=${2:-rust js ts python c zig go}
work=$(mktemp -d)
dev=
trap 'if [ -n "$dev" ]; then kill "$dev" 2>/dev/null || :; fi; rm -rf "$work"' EXIT

now() { date +%s%N; }
since() { echo "$(($(now) - $1))" | awk '{ printf "%.1f s", $1 / 1e9 }'; }
source_of() {
    case $1 in
    rust) echo src/lib.rs ;;
    js) echo src/service.js ;;
    ts) echo src/service.ts ;;
    python) echo service.py ;;
    c) echo service.c ;;
    zig) echo service.zig ;;
    go) echo export_example_mailer_mailer/service.go ;;
    esac
}
# The line that throws what the contract does not know.
thrown() {
    case $1 in
    rust) printf '%s' 's/if person == "nobody" {/if person == "bug" { panic!("a bug of mine") }\n        &/' ;;
    js | ts) printf '%s' \
        's/if (person === "nobody") {/if (person === "bug") { throw new TypeError("a bug of mine"); }\n    &/' ;;
    python) printf '%s' \
        's/if person == "nobody":/if person == "bug":\n            raise ValueError("a bug of mine")\n        &/' ;;
    c) printf '%s' 's/    char \*text = NULL;/    if (person->len == 3 \&\& memcmp(person->ptr, "bug", 3) == 0) {\n'
        printf '%s' '        fputs("a bug of mine\\n", stderr);\n        abort();\n    }\n&/' ;;
    zig) printf '%s' 's/    if (std.mem.eql(u8, person, "nobody")) {/'
        printf '%s' '    if (std.mem.eql(u8, person, "bug")) @panic("a bug of mine");\n&/' ;;
    go) printf '%s' 's/if person == "nobody" {/if person == "bug" {\n\t\tpanic("a bug of mine")\n\t}\n\t&/' ;;
    esac
}
# Waits for ten minutes at most until a command succeeds: the machine may be busy.
await() {
    end=$(($(date +%s) + 600))
    until "$@"; do
        if [ "$(date +%s)" -ge $end ]; then
            echo "this did not happen: $*" >&2
            tail -n 30 dev.err >&2
            exit 1
        fi
        sleep 0.1
    done
}
greets() { curl -s "$gateway/mailer/Ada" | grep -q "$1"; }
listens() { grep -q '^gateway listening on ' dev.out; }

# What `atoll dev` says of the edit: how long the language's tools took, and the host with the new component.
took() { sed -n "s/^mailer: .*$1 in \([0-9.]* s\)\$/\1/p" dev.err | tail -n 1; }

echo "| language | new | first build | dev: first answer | edit to served | of it build, swap | bug named | test |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
for language in $languages; do
    mkdir "$work/$language" && cd "$work/$language"
    began=$(now)
    "$atoll" new mailer --lang "$language" >atoll.toml 2>new.err || { cat new.err >&2 && exit 1; }
    new=$(since "$began")
    printf '[gateway]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n' >>atoll.toml
    began=$(now) && "$atoll" build 2>build.err || { cat build.err >&2 && exit 1; }
    built=$(since "$began")
    began=$(now)
    "$atoll" dev >dev.out 2>dev.err &
    dev=$!
    await listens
    gateway=$(sed -n 's/^gateway listening on //p' dev.out)
    await greets 'Hello, Ada' && first=$(since "$began")
    code=mailer/$(source_of "$language")
    began=$(now) && sed -i "s/Hello, /Good day, /; $(thrown "$language")" "$code"
    await greets 'Good day, Ada' && edited=$(since "$began")
    status=$(curl -s -o problem -w '%{http_code}' "$gateway/mailer/bug")
    named=no && await grep -q 'a bug of mine' dev.err && named="$status, yes"
    kill "$dev" && wait "$dev" || :
    dev=
    # The bug stays: only one input of its own finds it. The contract's example has to say what is said now.
    sed -i 's/Hello, Ada/Good day, Ada/' mailer/wit/mailer.wit
    began=$(now) && "$atoll" test --inputs 50 >test.out 2>&1 || { cat test.out >&2 && exit 1; }
    parts="$(took built), $(took 'swapped')"
    echo "| $language | $new | $built | $first | $edited | $parts | $named | $(since "$began") |"
done

# Services that speak HTTP themselves.
echo
echo "| language, --http | first build | dev: first answer |"
echo "| --- | --- | --- |"
for language in $languages; do
    mkdir "$work/$language-http" && cd "$work/$language-http"
    "$atoll" new mailer --http --lang "$language" >atoll.toml 2>new.err || { cat new.err >&2 && exit 1; }
    printf '[gateway]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n' >>atoll.toml
    began=$(now) && "$atoll" build 2>build.err || { cat build.err >&2 && exit 1; }
    built=$(since "$began")
    began=$(now)
    "$atoll" dev >dev.out 2>dev.err &
    dev=$!
    await listens
    gateway=$(sed -n 's/^gateway listening on //p' dev.out)
    await greets 'Hello, Ada!' && first=$(since "$began")
    [ "$(curl -s "$gateway/mailer/%C3%89mile%20Z")" = 'Hello, Émile Z!' ]
    [ "$(curl -s -o problem -w '%{http_code}' "$gateway/mailer/a/b")" = 404 ]
    # A path that is no text is no fault of the service, whose circuit would count it.
    case $language in js | ts) odd=404 ;; *) odd=200 ;; esac
    [ "$(curl -s -o problem -w '%{http_code}' "$gateway/mailer/%FF")" = "$odd" ]
    [ "$(curl -s -o problem -w '%{http_code}' -X POST "$gateway/mailer/Ada")" = 405 ]
    kill "$dev" && wait "$dev" || :
    dev=
    echo "| $language | $built | $first |"
done

# A service of a contract that is there: it builds as it is made, and its functions say that they are not written.
echo
echo "| language, --contract | first build |"
echo "| --- | --- |"
for language in $languages; do
    mkdir "$work/$language-contract" && cd "$work/$language-contract"
    "$atoll" new stock --contract "$contract" --lang "$language" >atoll.toml 2>new.err || { cat new.err >&2 && exit 1; }
    printf '[gateway]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n' >>atoll.toml
    printf '[[route]]\nmethod = "GET"\npath = "/mailer/{id}"\ncall = "stock/get"\n' >>atoll.toml
    began=$(now) && "$atoll" build 2>build.err || { cat build.err >&2 && exit 1; }
    built=$(since "$began")
    "$atoll" dev >dev.out 2>dev.err &
    dev=$!
    await listens
    gateway=$(sed -n 's/^gateway listening on //p' dev.out)
    answers() { [ "$(curl -s -o problem -w '%{http_code}' "$gateway/mailer/9007199254740993")" = 503 ]; }
    await answers
    kill "$dev" && wait "$dev" || :
    dev=
    echo "| $language | $built |"
done
