# Sourced by scripts that need Debian packages.

# install_packages NAME...: those of the Debian packages that are not there yet. Says in one line what is missing where it cannot install.
install_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        sudo="sudo -n"
        if ! $sudo true 2>/dev/null; then
            echo "ninefold: missing packages: ${missing[*]}; run: sudo apt-get install ${missing[*]}" >&2
            exit 1
        fi
    fi
    echo "installing: ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { $sudo apt-get update -q >/dev/null && $sudo apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null; } ||
        { echo "ninefold: apt could not install: ${missing[*]}" >&2; exit 1; }
}
