#!/usr/bin/env bash
# Installs Debian's packages of what cuts networks and sets clocks, once: for `./just cluster`.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin # not in everybody's on Debian
readonly packages=(iproute2 nftables faketime)

if [ "$(command -v ip nft faketime | wc -l)" = 3 ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "cluster: ${packages[*]} are packages of Debian: what needs them is left out here"
    exit 0
fi
echo "cluster: installing ${packages[*]} by apt-get (once)"
as_root=$([ "$(id -u)" = 0 ] || echo sudo)
$as_root apt-get install -qq --yes --no-install-recommends "${packages[@]}" > /dev/null
