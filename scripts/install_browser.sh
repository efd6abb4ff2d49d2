#!/usr/bin/env bash
# Debian's Chromium, for the tests of the page; nothing where it is there already.
set -euo pipefail
if command -v chromium > /dev/null; then
  exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null
