#!/usr/bin/env bash
# Say which Chromium the browser tests drive; install one where this may, else say what to do.
set -euo pipefail

PACKAGES="chromium fonts-dejavu-core fonts-liberation"

found() {
  if [[ -n "${MATIR_CHROMIUM:-}" ]]; then
    [[ -x "$MATIR_CHROMIUM" ]] && { echo "$MATIR_CHROMIUM"; return 0; }
    echo "MATIR_CHROMIUM=$MATIR_CHROMIUM is no program: name a Chromium or Chrome" >&2
    exit 1
  fi
  command -v chromium || command -v chromium-browser || command -v google-chrome
}

explain() {
  echo "$1" >&2
  echo "The browser tests need Chromium. Install it and run make again:" >&2
  echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $PACKAGES" >&2
  echo "or name one that is there: MATIR_CHROMIUM=/path/to/chrome make test" >&2
  exit 1
}

found && exit 0
command -v apt-get >/dev/null || explain "No Chromium on PATH, and no apt-get to install it."
[[ "$(id -u)" == 0 ]] || explain "No Chromium on PATH, and only root may install it."
echo "No Chromium on PATH: installing $PACKAGES" >&2
apt-get update -qq || explain "apt-get update failed."
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $PACKAGES >&2 \
  || explain "apt-get install failed."
found || explain "Chromium was installed and is still not on PATH."
