#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh: from a URL to a riscv64 login prompt, on this machine, with nothing faked.
#
# Builds a riscv64 disk from Debian's packages, serves it as qcow2 with its digests from nginx
# over HTTPS, lets slipway import it as a DataVolume manifest asks, and boots the result.
# The last line is what 'uname -a' says in the machine that came up.
#
# $SLIPWAY names the slipway program to use; without it, './dev build' makes build/cli/slipway.
# All that the demo starts and writes is gone when it ends, except the cached boot disk.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=tests/images/lib.sh
. "$top/tests/images/lib.sh"

if [ -t 1 ]; then
    bold=$'\e[1m' accent=$'\e[1;36m' dim=$'\e[2m' good=$'\e[1;32m' plain=$'\e[0m'
else
    bold='' accent='' dim='' good='' plain=''
fi
steps=0

heading()
{
    steps=$((steps + 1))
    printf '\n%s%d.%s %s%s%s\n' "$accent" "$steps" "$plain" "$bold" "$*" "$plain"
}

# Copies its input, set off from the headings.
indent()
{
    sed "s/^/   $dim/; s/\$/$plain/"
}

# Shows a command as one would type it, then runs it.
show_and_run()
{
    local name=$1

    shift
    printf '%s$%s slipway %s\n' "$accent" "$plain" "$*"
    "$name" "$@"
}

clean_up()
{
    if [ -n "${nginx_pid:-}" ]; then
        kill "$nginx_pid" 2>/dev/null || true
        wait "$nginx_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}

make_certificates()
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=Slipway demo CA" -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj "/CN=localhost" -keyout server.key -out server.csr 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >server.ext
    openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -extfile server.ext -out server.pem 2>/dev/null
}

free_port()
{
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_nginx_conf()
{
    cat <<CONF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/nginx.log;
events { }
http {
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    client_body_temp_path $work/nginx-tmp;
    proxy_temp_path $work/nginx-tmp;
    fastcgi_temp_path $work/nginx-tmp;
    uwsgi_temp_path $work/nginx-tmp;
    scgi_temp_path $work/nginx-tmp;
    server {
        listen 127.0.0.1:$port ssl;
        server_name localhost;
        ssl_certificate $work/server.pem;
        ssl_certificate_key $work/server.key;
        root $images;
    }
}
CONF
}

# One process that stays in our hands: no master, no other user, our own directory.
start_nginx()
{
    local tries

    port=$(free_port)
    write_nginx_conf >nginx.conf
    nginx -e "$work/nginx.log" -p "$work" -c "$work/nginx.conf" &
    nginx_pid=$!
    for tries in $(seq 100); do
        curl -sf --cacert ca.pem -o /dev/null "https://localhost:$port/SHA512SUMS" && return 0
        kill -0 "$nginx_pid" 2>/dev/null || break
        sleep 0.05
    done
    cat nginx.log >&2
    die "nginx did not answer on port $port (tried $tries times)"
}

# The digest comes from the server's own list, as a user would copy it from there.
write_manifest()
{
    local digest

    digest=$(curl -sf --cacert ca.pem "https://localhost:$port/SHA512SUMS" |
        awk '$2 == "boot.qcow2" { print $1 }')
    [ ${#digest} = 128 ] || die "no SHA-512 of boot.qcow2 in SHA512SUMS"
    cat <<MANIFEST
apiVersion: cdi.kubevirt.io/v1beta1
kind: DataVolume
metadata:
  name: debian-riscv64
  namespace: demo
  annotations:
    slipway.io/expect-architecture: riscv64
spec:
  source:
    http:
      url: https://localhost:$port/boot.qcow2
      checksum: sha512:$digest
  storage:
    accessModes: [ReadWriteOnce]
    resources:
      requests:
        storage: 512Mi
MANIFEST
}

# The moments of a boot that tell firmware, loader, kernel and login apart.
boot_highlights()
{
    sed 's/\x1b[^a-zA-Z]*[a-zA-Z]//g' | tr -d '\r' |
        grep -E '^OpenSBI|^U-Boot|removable media binary|^Booting|login: *' || true
}

boot_the_disk()
{
    local disk=$1 started=$SECONDS

    answer=$("$top/tests/boot/boot-to-login" --show "$disk" 'uname -a' 2>console.log) || {
        tail -n 40 console.log >&2
        die "the disk did not boot"
    }
    boot_highlights <console.log | indent
    printf '   %spower-on, login as root, power-off: %d s%s\n' "$dim" $((SECONDS - started)) "$plain"
    case $answer in
    *riscv64*) ;;
    *) die "this is no riscv64 machine: $answer" ;;
    esac
}

need nginx-light openssl curl python3
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/slipway-demo.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$work"

heading "Build slipway"
if [ -z "${SLIPWAY:-}" ]; then
    "$top/dev" build >build.log 2>&1 || {
        cat build.log >&2
        die "slipway does not build"
    }
    tail -n 1 build.log | indent
    SLIPWAY=$top/build/cli/slipway
fi
[ -x "$SLIPWAY" ] || die "no program '$SLIPWAY'"

heading "Make a riscv64 disk from Debian's own packages (cached after the first time)"
images=$("$top/tests/images/make-variants")
cut -d' ' -f1,2 "$images/packages.txt" | indent
printf 'boot.qcow2, %d MiB\n' $(($(stat -c %s "$images/boot.qcow2") >> 20)) | indent

heading "Serve it with nginx over HTTPS, under a certificate of our own CA"
make_certificates
start_nginx
printf '   %shttps://localhost:%s/boot.qcow2 with SHA512SUMS beside it%s\n' "$dim" "$port" "$plain"

heading "Ask for it as a DataVolume"
write_manifest >datavolume.yaml
sed -E 's/(sha512:.{48}).*/\1.../' datavolume.yaml | indent

heading "Import: fetch, verify, convert, check the boot loader, in one pass"
show_and_run "$SLIPWAY" apply -f datavolume.yaml --volumes volumes --cacert ca.pem
show_and_run "$SLIPWAY" get --volumes volumes

heading "Boot the result: firmware, EFI/BOOT/BOOTRISCV64.EFI, kernel, login"
boot_the_disk volumes/demo/debian-riscv64/disk.img
printf '\n%s%s%s\n' "$good" "$answer" "$plain"
