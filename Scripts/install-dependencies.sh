#!/usr/bin/env bash
# Installs what a fresh Debian 12 lacks: `build` for the program, `test` for the real clients and stores of the tests.
# Says in one line what is missing where it cannot install.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v swift >/dev/null; then
    echo "ninefold: no 'swift' on PATH; install Swift 6.1 or newer from https://www.swift.org/install" >&2
    exit 1
fi

. Scripts/packages.sh

case "${1:-build}" in
build)
    install_packages libcurl4-openssl-dev libzstd-dev libsqlite3-dev zlib1g-dev liblz4-dev libsnappy-dev pkg-config
    ;;
test)
    install_packages kcat python3 python3-venv chromium fonts-dejavu-core
    stamp=.venv/ninefold-requirements
    if ! cmp -s Tests/RealClients/requirements.txt "$stamp"; then
        echo "installing the Python clients into .venv"
        python3 -m venv .venv
        .venv/bin/pip install --quiet --disable-pip-version-check -r Tests/RealClients/requirements.txt
        cp Tests/RealClients/requirements.txt "$stamp"
    fi
    ;;
*)
    echo "usage: $0 build|test" >&2
    exit 64
    ;;
esac
