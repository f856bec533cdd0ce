# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts of tests/images, tests/boot and tests/demo share: messages, package
# installation and the cache directory. Source it; it defines functions and runs nothing.

say()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
    say "$*"
    exit 1
}

# The command in front of anything that needs root: nothing for root, sudo for others.
as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: run as root or install sudo"
    fi
}

# need PKG...: install the Debian packages that are not installed yet. One query for all of them:
# a call with nothing missing costs a few milliseconds.
need()
{
    local missing out

    mapfile -t missing < <(
        { dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
            awk '$1 == "installed" { print $2 }' | sort -u |
            comm -13 - <(printf '%s\n' "$@" | sort -u))
    [ ${#missing[@]} -gt 0 ] || return 0

    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "missing packages: ${missing[*]}; run as root or install sudo"
    fi
    say "installing ${missing[*]}"
    install_packages "${missing[@]}" >/dev/null 2>&1 && return 0
    out=$(as_root env -u APT_CONFIG apt-get update -qq 2>&1) || say "apt-get update: $out"
    out=$(install_packages "${missing[@]}" 2>&1) || die "apt-get cannot install them: $out"
}

install_packages()
{
    as_root env -u APT_CONFIG DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 "$@"
}

# Where built images stay between runs.
images_cache()
{
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/slipway/images"
}

# The URI of the Debian archive this machine uses itself, so that a local mirror is honoured.
debian_uri()
{
    configured_uri debian http://deb.debian.org/debian
}

# The same of the archive with security updates.
debian_security_uri()
{
    configured_uri debian-security http://deb.debian.org/debian-security
}

# configured_uri ARCHIVE DEFAULT: the first URI of apt's configuration that ends in /ARCHIVE.
configured_uri()
{
    local uri

    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
              /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -nE "s,^(URIs:|deb( +\\[[^]]*\\])?) +(https?://[^ ]*/$1/?)( .*)?\$,\\3,p" | head -n 1)
    printf '%s\n' "${uri:-$2}"
}
