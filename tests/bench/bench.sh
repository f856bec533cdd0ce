#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# bench.sh: slipway against the tools people use today and against what the machine can do at all,
# each image served by nginx on the loopback device. './dev bench' builds slipway and calls it.
#
#   bench.sh [ROW...]      measure these images (shell patterns: 'real*', '*.gz'; default: all),
#                          then print the tables
#   bench.sh --print       the tables of the last run
#   bench.sh --markdown    write them into docs/PERFORMANCE.md; rows that were measured elsewhere and
#                          stand there stay
#
# Of every row all contenders take turns, and the medians count: seconds of different runs cannot be
# compared, ratios of one run can. Each contender starts with the served file in the page cache, no
# target and nothing left to write, and has ended when its target is on stable storage.
#
# SLIPWAY_BENCH_RUNS    turns per row (default 3)
# SLIPWAY_BENCH_SIZE    full (default) or small; see make-images
# SLIPWAY_BENCH_SLOW    a contender whose first turn takes more than so many seconds has no other
#                       (default: 0, all have all turns)
# SLIPWAY_BENCH_ONLY    contenders to run, a shell pattern (default: all)
# SLIPWAY_BUILD         build directory with slipway in it (default: build/ of the source tree)
# XDG_CACHE_HOME        images, targets and results are in its slipway/bench/: 25 GiB at most

set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=tests/images/lib.sh
. "$top/tests/images/lib.sh"

size=${SLIPWAY_BENCH_SIZE:-full}
runs=${SLIPWAY_BENCH_RUNS:-3}
only=${SLIPWAY_BENCH_ONLY:-*}
slow=${SLIPWAY_BENCH_SLOW:-0}
build=${SLIPWAY_BUILD:-$top/build}
slipway=$build/cli/slipway
cluster_floor=$build/tests/bench/cluster-floor
cache=${XDG_CACHE_HOME:-$HOME/.cache}/slipway/bench
results=$cache/results-$size

rows=(
    real.raw real.qcow2 real-c.qcow2 real-zstd.qcow2 real.raw.gz real.raw.zst real-blocks.raw.xz
    real.raw.xz random.raw random.qcow2 random.raw.gz empty.qcow2 empty.raw.gz empty.raw.zst
)
contenders=(
    slipway slipway-nodigest slipway-128m
    curl+convert scratch-import nbdkit+convert nbdkit+nbdcopy
    floor:curl-null floor:curl-file floor:dd-direct floor:decoder floor:openssl
)

# --- The server --------------------------------------------------------------------------------

free_port()
{
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_nginx_conf()
{
    cat <<CONF
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
worker_processes auto;
events { }
http {
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path $work/nginx-tmp;
    proxy_temp_path $work/nginx-tmp;
    fastcgi_temp_path $work/nginx-tmp;
    uwsgi_temp_path $work/nginx-tmp;
    scgi_temp_path $work/nginx-tmp;
    server {
        listen 127.0.0.1:$port;
        root $images;
    }
}
CONF
    # As root, nginx would hand the files to a user who cannot read the cache directory.
    [ "$(id -u)" != 0 ] || echo 'user root;'
}

start_nginx()
{
    port=$(free_port)
    write_nginx_conf >"$work/nginx.conf"
    nginx -e "$work/nginx.log" -p "$work" -c "$work/nginx.conf" &
    nginx_pid=$!
    for _ in $(seq 100); do
        curl -sf -o /dev/null "http://127.0.0.1:$port/real.allocated" && return 0
        kill -0 "$nginx_pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/nginx.log" >&2
    die "nginx did not answer on port $port"
}

# --- A control group of 128 MiB ------------------------------------------------------------------

# make_cgroup: sets cgroup to a new memory control group's directory, or leaves it empty and says
# why. Version 1 and 2 differ in the names only.
make_cgroup()
{
    local dir file

    cgroup=
    if [ -d /sys/fs/cgroup/memory ]; then
        dir=/sys/fs/cgroup/memory/slipway-bench.$$ file=memory.limit_in_bytes
    else
        dir=/sys/fs/cgroup/slipway-bench.$$ file=memory.max
        { echo +memory >/sys/fs/cgroup/cgroup.subtree_control; } 2>/dev/null || true
    fi
    if mkdir "$dir" 2>/dev/null && { echo $((128 << 20)) >"$dir/$file"; } 2>/dev/null; then
        cgroup=$dir
    else
        rmdir "$dir" 2>/dev/null || true
        say "no memory control group can be made here: the rows 'slipway-128m' are left out"
    fi
}

# --- Contenders ----------------------------------------------------------------------------------

format_of()
{
    case $1 in
    *.qcow2) echo qcow2 ;;
    *) echo raw ;;
    esac
}

# What undoes the row's wrapper on standard output, one thread, as people type it.
plain_decoder()
{
    case $1 in
    *.gz) echo "gzip -dc" ;;
    *.xz) echo "xz -T1 -dc" ;;
    *.zst) echo "zstd -q -dc" ;;
    esac
}

# The fastest thing that decodes the row's bytes and does nothing else.
best_decoder()
{
    case $1 in
    *.gz) if command -v igzip >/dev/null; then echo "igzip -q -dc"; else echo "gzip -dc"; fi ;;
    *.xz) echo "xz -T0 -dc" ;;
    *.zst) echo "zstd -q -dc" ;;
    *-c.qcow2 | *-zstd.qcow2) echo "$cluster_floor" ;;
    esac
}

# nbdkit's filters for the row's wrapper; fails where it has none, and for one xz block of 10 GiB,
# which is more than its filter takes.
nbdkit_filters()
{
    local unpack=

    case $1 in
    *.gz) unpack=--filter=gzip ;;
    *-blocks.raw.xz) unpack=--filter=xz ;;
    *.raw.xz | *.zst) return 1 ;;
    esac
    echo "$unpack --filter=readahead --filter=retry"
}

# command_of CONTENDER ROW: sets cmd, or fails where the contender cannot do the row.
command_of()
{
    local row=$2 url=http://127.0.0.1:$port/$2 format unpack filters mib convert
    local import=("$slipway" import --progress none --output json)

    format=$(format_of "$row")
    unpack=$(plain_decoder "$row")
    mib=$(($(cat "$images/${row%%[-.]*}.allocated") >> 20))
    convert="qemu-img convert -t writeback -p -f $format -O raw"
    case $1 in
    slipway | slipway-128m) cmd=("${import[@]}" "$url" "$target") ;;
    slipway-nodigest) cmd=("${import[@]}" --no-digest "$url" "$target") ;;
    curl+convert)
        cmd=(bash -c "set -o pipefail
            curl -sSf '$url' ${unpack:+| $unpack} >'$scratch' && $convert '$scratch' '$target'") ;;
    scratch-import)
        [ -x "$work/scratch-import" ] &&
            cmd=(bash -c "'$work/scratch-import' '$url' '$scratch' &&
                $convert '$scratch' '$target'") ;;
    nbdkit+convert)
        filters=$(nbdkit_filters "$row") &&
            cmd=(bash -c "nbdkit -r -U - $filters curl '$url' --run \
                'qemu-img convert -f $format -O raw \"\$uri\" \"$target\"'") ;;
    nbdkit+nbdcopy)
        [ "$format" = raw ] && filters=$(nbdkit_filters "$row") &&
            cmd=(bash -c "nbdkit -r -U - $filters curl '$url' --run \
                'nbdcopy \"\$uri\" \"$target\"'") ;;
    floor:curl-null) cmd=(curl -sSf -o /dev/null "$url") ;;
    floor:curl-file) cmd=(curl -sSf -o "$target" "$url") ;;
    floor:dd-direct) cmd=(dd if=/dev/zero "of=$target" bs=1M "count=$mib" oflag=direct status=none) ;;
    floor:decoder)
        unpack=$(best_decoder "$row")
        [ -n "$unpack" ] && cmd=(bash -c "exec $unpack '$images/$row' >/dev/null") ;;
    floor:openssl) cmd=(openssl dgst -sha256 "$images/$row") ;;
    esac
}

# --- Measuring -----------------------------------------------------------------------------------

# The served file in the page cache, no target, nothing waiting to be written.
settle()
{
    rm -rf "$work/disks"
    mkdir "$work/disks"
    cat "$images/$1" >/dev/null
    sync -f "$work"
}

# A fast import of the wrong bytes would be worth nothing.
check_target()
{
    qemu-img compare -q -f raw -F raw "$target" "$images/${1%%[-.]*}.raw"
}

# measure_one ROW CONTENDER TURN
measure_one()
{
    local row=$1 name=$2 turn=$3 cmd options line seconds=0 good=true

    [[ $too_slow != *" $name "* ]] || return 0
    command_of "$name" "$row" || return 0
    options=(--sync "$target" --out "$work/out" --err "$work/err")
    if [ "$name" = slipway-128m ]; then
        [ -n "$cgroup" ] || return 0
        options+=(--cgroup "$cgroup")
    fi
    settle "$row"
    : >"$work/err"
    line=$(TMPDIR=$work "$here/measure" "${options[@]}" -- "${cmd[@]}")
    [[ $line =~ \"wall_s\":\ ([0-9]+) ]] && seconds=${BASH_REMATCH[1]}
    if [ "$slow" -gt 0 ] && [ "$seconds" -ge "$slow" ]; then
        too_slow+=" $name "
    fi
    if ! grep -q '"status": 0}' <<<"$line"; then
        good=false
        say "$name failed for $row: $(tail -n 2 "$work/err" | tr '\n' ' ')"
    elif [ "$turn" = 1 ] && [[ $name != floor:* ]] && ! check_target "$row"; then
        good=false
        say "$name left another disk than $row holds"
    fi
    printf '{"row": "%s", "contender": "%s", "good": %s, %s\n' "$row" "$name" "$good" "${line#\{}" \
        >>"$results/$row.part"
    [ "$name" != slipway ] || cp "$work/out" "$results/$row.stages"
}

measure_row()
{
    local row=$1 turn name too_slow=

    say "measuring $row"
    describe_machine "$row"
    rm -f "$results/$row.part"
    for turn in $(seq "$runs"); do
        for name in "${contenders[@]}"; do
            # shellcheck disable=SC2254 # it is a pattern
            case $name in
            $only) measure_one "$row" "$name" "$turn" ;;
            esac
        done
    done
    printf '{"row": "%s", "served": %d, "allocated": %d}\n' "$row" "$(stat -c %s "$images/$row")" \
        "$(cat "$images/${row%%[-.]*}.allocated")" >>"$results/$row.part"
    mv "$results/$row.part" "$results/$row.jsonl"
}

# The decompressors of CDI, from Debian's packages of the same Go libraries.
build_scratch_import()
{
    if ! (need golang-go golang-github-klauspost-compress-dev \
        golang-github-klauspost-pgzip-dev golang-github-ulikunitz-xz-dev); then
        say "without Go's decompressors the contender 'scratch-import' is left out"
        return 0
    fi
    (cd "$here/scratch-import" && PATH=/usr/lib/go/bin:$PATH GO111MODULE=off \
        GOPATH=/usr/share/gocode GOCACHE=$cache/go GOFLAGS=-p=2 \
        go build -o "$work/scratch-import" .)
}

# describe_machine ROW: beside the row's results, since rows may be measured at different times.
describe_machine()
{
    "$here/report" --describe "$cache" "$runs" \
        "$(git -C "$top" rev-parse --short HEAD 2>/dev/null || echo unknown)" >"$results/$1.machine"
}

clean_up()
{
    if [ -n "${nginx_pid:-}" ]; then
        kill "$nginx_pid" 2>/dev/null || true
        wait "$nginx_pid" 2>/dev/null || true
    fi
    [ -z "${cgroup:-}" ] || rmdir "$cgroup" 2>/dev/null || true
    rm -rf "${work:?}"
}

# wanted ROW: whether one of the patterns names it.
wanted()
{
    local pattern

    [ ${#patterns[@]} -gt 0 ] || return 0
    for pattern in "${patterns[@]}"; do
        # shellcheck disable=SC2254
        case $1 in
        $pattern) return 0 ;;
        esac
    done
    return 1
}

need_tools()
{
    local tools=(curl e2fsprogs gzip libnbd-bin nbdkit nginx-light openssl python3 qemu-utils
        xz-utils zstd)

    case $(dpkg --print-architecture) in
    amd64 | arm64) tools+=(isal) ;;
    esac
    need "${tools[@]}"
}

measure_all()
{
    local row chosen=()

    for row in "${rows[@]}"; do
        ! wanted "$row" || chosen+=("$row")
    done
    [ ${#chosen[@]} -gt 0 ] || die "no such row; there are: ${rows[*]}"
    need_tools
    if ! [ -x "$slipway" ] || ! [ -x "$cluster_floor" ]; then
        die "no slipway in $build: './dev build' makes it"
    fi
    images=$("$here/make-images" "${chosen[@]}" real.qcow2)
    mkdir -p "$results"
    # On the disk of the cache, which is large and real; /tmp may be neither.
    work=$(mktemp -d "$cache/work.XXXXXX")
    target=$work/disks/target.img scratch=$work/disks/scratch.img
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    build_scratch_import
    make_cgroup
    start_nginx
    for row in "${chosen[@]}"; do
        measure_row "$row"
    done
}

PATH=$PATH:/usr/sbin:/sbin
patterns=()
case ${1:-} in
-h | --help)
    sed -n '3,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
--print) ;;
--markdown)
    "$here/report" --markdown "$results" "$top/docs/PERFORMANCE.md"
    exit 0
    ;;
-*) die "unknown option '$1'; see --help" ;;
*)
    patterns=("$@")
    measure_all
    ;;
esac
"$here/report" "$results"
