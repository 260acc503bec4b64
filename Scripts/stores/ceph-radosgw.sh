#!/usr/bin/env bash
# A Ceph cluster on this machine (a monitor, a manager, three OSDs, each object kept three times) with an S3 gateway: `start DIR`
# installs what is missing, starts it below DIR and prints the environment to use; `stop DIR` ends what was started and removes it.
# `kill-osd DIR N` takes an OSD's life without warning, `start-osd DIR N` brings it back.
#
#   set -a; eval "$(Scripts/stores/ceph-radosgw.sh start /tmp/ceph)"; set +a
#   ninefold compare --modes tiered,shared --object-store "$NINEFOLD_OBJECT_STORE"
#
# Wants root. Listens on the loopback only, on ports from $NINEFOLD_CEPH_PORT (23300) on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="usage: $0 start|stop DIR, $0 kill-osd|start-osd DIR 0|1|2"
[ $# -ge 2 ] || { echo "$usage" >&2; exit 64; }
command=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)
first=${NINEFOLD_CEPH_PORT:-23300}
gateway=$((first + 2))
access=ninefold-key
secret=ninefold-secret-key
bucket=ninefold
export CEPH_CONF=$directory/ceph.conf

fail() { echo "ceph-radosgw.sh: $*" >&2; exit 1; }
# What this machine lacks, told apart by its exit code (EX_UNAVAILABLE).
lack() { echo "ceph-radosgw.sh: $*" >&2; exit 69; }

# await TURNS COMMAND...: tries it every 0.2 s.
await() {
    local turns=$1 turn
    shift
    for turn in $(seq "$turns"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    return 1
}

configuration() {
    cat <<CONF
[global]
fsid = $1
mon host = [v2:127.0.0.1:$first,v1:127.0.0.1:$((first + 1))]
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = $((first + 10))
ms bind port max = $((first + 90))
# Without authentication the gateway never comes up.
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $directory/keyring
run dir = $directory/run
crash dir = $directory/run
admin socket = $directory/run/\$name.asok
pid file = $directory/run/\$name.pid
log file = $directory/log/\$name.log
# Three copies, two of which must be there for a write; all on one host.
osd pool default size = 3
osd pool default min size = 2
osd crush chooseleaf type = 0
# Few placement groups, and as many tomorrow.
osd pool default pg autoscale mode = off
osd pool default pg num = 8
osd pool default pgp num = 8
mon max pg per osd = 800
# Sparse files instead of disks, small caches.
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 10737418240
bluestore cache autotune = false
bluestore cache size = 67108864
osd memory target = 939524096
osd op num shards = 2
osd max pg log entries = 200
osd scrub load threshold = 0.01
# An OSD that comes back catches up at once, not as slowly as suits disks.
osd recovery sleep = 0
osd recovery sleep hdd = 0
osd max backfills = 8
osd recovery max active = 8
# The host's disk may be rather full: in this order, or the cluster is in error.
mon osd nearfull ratio = .93
mon osd backfillfull ratio = .95
mon osd full ratio = .96
mon data avail warn = 1
mon data avail crit = 1
[mon]
mon data = $directory/mon
[mgr]
mgr data = $directory/mgr
mgr initial modules =
[osd.0]
osd data = $directory/osd-0
[osd.1]
osd data = $directory/osd-1
[osd.2]
osd data = $directory/osd-2
[client.gateway]
rgw frontends = beast endpoint=127.0.0.1:$gateway
rgw data = $directory/gateway
rgw thread pool size = 32
rgw enable usage log = false
CONF
}

osds_up() { [ "$(ceph --connect-timeout 5 osd stat -f json | jq .num_up_osds)" = 3 ]; }

# A process of ours: the one in a pid file, or any that has DIR's configuration.
pids() {
    local file
    for file in "$directory"/run/*.pid; do [ -s "$file" ] && cat "$file"; done
    return 0
}
running() { local pid; for pid in $(pids); do kill -0 "$pid" 2>/dev/null && return 0; done; return 1; }

stop() {
    local pid turn
    for pid in $(pids); do kill "$pid" 2>/dev/null || true; done
    for turn in $(seq 30); do running || break; sleep 0.2; done
    for pid in $(pids); do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$directory"/{mon,mgr,osd-0,osd-1,osd-2,run,log,gateway,ceph.conf,keyring,monmap}
    rmdir "$directory" 2>/dev/null || true
}

fail_clean() {
    tail -qn 2 "$directory"/log/*.log >&2 2>/dev/null || true
    stop
    fail "$@"
}

make_osd() {
    local id=$1 uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph osd new "$uuid" "$id" >/dev/null
    ceph auth get-or-create "osd.$id" mon 'allow profile osd' mgr 'allow profile osd' osd 'allow *' >>"$directory/keyring"
    { ceph-osd -i "$id" --mkfs --osd-uuid "$uuid" && ceph-osd -i "$id"; } >"$directory/log/start-osd-$id.log" 2>&1 &
}

# Signed as S3 once was (version 2): openssl and curl can do it alone.
make_bucket() {
    local date signature
    date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
    signature=$(printf 'PUT\n\n\n%s\n/%s' "$date" "$bucket" | openssl dgst -sha1 -hmac "$secret" -binary | base64)
    curl -s -f -X PUT -H "Date: $date" -H "Authorization: AWS $access:$signature" "http://127.0.0.1:$gateway/$bucket"
}

start() {
    [ "$(id -u)" -eq 0 ] || lack "wants root"
    command -v apt-get >/dev/null || lack "wants Debian's apt-get"
    # shellcheck source=../packages.sh
    . "$here/../packages.sh"
    (install_packages ceph-mon ceph-mgr ceph-osd radosgw ceph-common jq curl openssl) || lack "Ceph is not installed and cannot be"
    local port name id
    for port in $first $((first + 1)) $gateway; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then lack "port $port is taken; set NINEFOLD_CEPH_PORT"; fi
    done
    mkdir -p "$directory"/{mon,mgr,osd-0,osd-1,osd-2,run,log,gateway}
    local cluster
    cluster=$(cat /proc/sys/kernel/random/uuid)
    configuration "$cluster" >"$CEPH_CONF"

    ceph-authtool --create-keyring "$directory/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
    ceph-authtool "$directory/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
    monmaptool --create --fsid "$cluster" --addv a "[v2:127.0.0.1:$first,v1:127.0.0.1:$((first + 1))]" "$directory/monmap" >/dev/null
    ceph-mon -i a --mkfs --monmap "$directory/monmap" --keyring "$directory/keyring" || fail_clean "the monitor cannot be made"
    ceph-mon -i a || fail_clean "the monitor does not start"
    await 150 ceph --connect-timeout 5 -s || fail_clean "the monitor does not answer"
    for name in mgr.x client.gateway; do
        ceph auth get-or-create $name mon 'allow *' osd 'allow *' mgr 'allow *' >>"$directory/keyring"
    done
    ceph-mgr -i x || fail_clean "the manager does not start"
    for id in 0 1 2; do make_osd $id; done
    wait
    await 300 osds_up || fail_clean "not all OSDs came up"

    radosgw -n client.gateway || fail_clean "the gateway does not start"
    await 300 curl -s -o /dev/null "http://127.0.0.1:$gateway/" || fail_clean "the gateway does not answer"
    radosgw-admin user create --uid=ninefold --display-name=ninefold --access-key=$access --secret-key=$secret >/dev/null 2>"$directory/log/user.log" ||
        fail_clean "no user can be made: $(tail -n 1 "$directory/log/user.log")"
    # The gateway makes its pools when they are first asked for: this takes seconds, and sometimes a second try.
    await 50 make_bucket ||
        fail_clean "no bucket can be made"
    echo "NINEFOLD_OBJECT_STORE='s3://$bucket/ninefold?endpoint=http://127.0.0.1:$gateway&region=us-east-1&copies=3'"
    echo "AWS_ACCESS_KEY_ID=$access"
    echo "AWS_SECRET_ACCESS_KEY=$secret"
    echo "CEPH_CONF=$CEPH_CONF"
}

case $command in
start) start ;;
stop) stop ;;
kill-osd) kill -9 "$(cat "$directory/run/osd.${3:?$usage}.pid")" ;;
start-osd) ceph-osd -i "${3:?$usage}" >"$directory/log/start-osd-$3.log" 2>&1 ;;
*) echo "$usage" >&2; exit 64 ;;
esac
