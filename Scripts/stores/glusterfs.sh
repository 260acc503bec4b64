#!/usr/bin/env bash
# A GlusterFS volume of three bricks on this machine, each file kept three times: `start DIR` installs what is missing, mounts it at
# DIR/mount and prints the environment to use; `stop DIR` ends what was started and removes it.
#
#   eval "$(Scripts/stores/glusterfs.sh start /tmp/gluster)"
#   ninefold compare --modes isr,shared --volume "$NINEFOLD_VOLUME" --backing "$NINEFOLD_BACKING"
#
# Wants root, /dev/fuse and port 24007, which the gluster command line cannot be told to leave.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
volume=ninefold

fail() { echo "glusterfs.sh: $*" >&2; exit 1; }
# What this machine lacks, told apart by its exit code (EX_UNAVAILABLE).
lack() { echo "glusterfs.sh: $*" >&2; exit 69; }
[ $# -eq 2 ] || { echo "usage: $0 start|stop DIR" >&2; exit 64; }
command=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)

# Waits up to 20 s for a command to succeed.
await() {
    local turn
    for turn in $(seq 200); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    return 1
}

# Processes that have DIR's files on their command line (bricks, mount, the daemon itself), and the self-heal daemon of a volume of this
# name, which has not.
ours() {
    ps -eo pid=,args= | awk -v at="$directory/" -v heal="shd/$volume " '/gluster/ && (index($0, at) || index($0 " ", heal)) { print $1 }'
}

stop() {
    mountpoint -q "$directory/mount" && { umount "$directory/mount" || umount -l "$directory/mount"; }
    local pid turn brick
    for pid in $(ours); do kill "$pid" 2>/dev/null || true; done
    for turn in $(seq 50); do [ -z "$(ours)" ] && break; sleep 0.1; done
    for pid in $(ours); do kill -9 "$pid" 2>/dev/null || true; done
    # What the daemons put beside it, whatever they are told.
    for brick in 1 2 3; do rm -f "/var/log/glusterfs/bricks/$(echo "${directory#/}/brick-$brick" | tr / -).log"; done
    rm -rf "/var/run/gluster/vols/$volume" "/var/run/gluster/shd/$volume"
    rm -rf "$directory"/{brick-1,brick-2,brick-3,state,log,mount,glusterd.vol,glusterd.pid,mount.pid}
    rmdir "$directory" 2>/dev/null || true
}

start() {
    [ "$(id -u)" -eq 0 ] || lack "wants root, for the mount and the bricks' trusted attributes"
    [ -e /dev/fuse ] || lack "wants /dev/fuse, which this system does not have"
    command -v apt-get >/dev/null || lack "wants Debian's apt-get"
    # shellcheck source=../packages.sh
    . "$here/../packages.sh"
    (install_packages glusterfs-server procps) || lack "GlusterFS is not installed and cannot be"
    local host address brick
    host=$(hostname)
    # A brick's host may not be written as an address of the loopback, but a name for one is taken.
    address=$(getent ahostsv4 "$host" | awk 'NR == 1 { print $1 }')
    [ -n "$address" ] || lack "the host name $host has no address; write it into /etc/hosts beside 127.0.0.1"
    if (exec 3<>"/dev/tcp/$address/24007") 2>/dev/null; then lack "port 24007 of $address is taken: another glusterd runs"; fi
    mkdir -p "$directory"/{brick-1,brick-2,brick-3,state,log,mount}
    cat >"$directory/glusterd.vol" <<VOLUME
volume management
    type mgmt/glusterd
    option working-directory $directory/state
    option transport-type socket
    option transport.socket.bind-address $address
    option transport.socket.listen-port 24007
    option transport.socket.read-fail-log off
    option ping-timeout 0
    option event-threads 1
    option base-port 49152
    option max-port 60999
end-volume
VOLUME
    glusterd -f "$directory/glusterd.vol" -p "$directory/glusterd.pid" -l "$directory/log/glusterd.log" ||
        fail "glusterd does not start; see $directory/log/glusterd.log"
    trap 'stop' ERR
    await gluster --mode=script pool list || fail_clean "glusterd does not answer"
    local bricks=()
    for brick in 1 2 3; do bricks+=("$host:$directory/brick-$brick"); done
    gluster --mode=script volume create $volume replica 3 "${bricks[@]}" force >/dev/null 2>"$directory/log/create" ||
        fail_clean "the volume cannot be made: $(tail -n 1 "$directory/log/create")"
    gluster --mode=script volume start $volume >/dev/null 2>"$directory/log/start" ||
        fail_clean "the volume does not start: $(tail -n 1 "$directory/log/start")"
    glusterfs --volfile-server="$address" --volfile-id=$volume --log-file="$directory/log/mount.log" --pid-file="$directory/mount.pid" \
        "$directory/mount" || fail_clean "the mount fails"
    await mountpoint -q "$directory/mount" || fail_clean "nothing is mounted after 20 s"
    await touch "$directory/mount/.ready" || fail_clean "the mount cannot be written"
    rm -f "$directory/mount/.ready"
    echo "NINEFOLD_VOLUME=$directory/mount"
    echo "NINEFOLD_BACKING=$directory/brick-1,$directory/brick-2,$directory/brick-3"
}

# The last lines of the logs say more than we can, and go with the directory.
fail_clean() {
    trap - ERR
    tail -qn 2 "$directory"/log/*.log >&2 2>/dev/null || true
    stop
    # The system has what it takes: that it does not work is a failure, not a lack.
    fail "$@"
}

case $command in
start) start ;;
stop) stop ;;
*) echo "usage: $0 start|stop DIR" >&2; exit 64 ;;
esac
