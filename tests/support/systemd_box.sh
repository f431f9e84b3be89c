#!/bin/bash
# A systemd of its own, as pid 1 of new namespaces, so that a unit can be tried without touching the machine's.
#
#   systemd_box.sh DIRECTORY KEPT...   boots it, and stays until it is killed or its systemd ends; DIRECTORY/pid1 is
#                                      the pid to give to nsenter, and is written when the namespaces stand
#
# Its /run, /tmp, /var/tmp, /var/lib and /var/log are empty but for the KEPT directories, and what is written to its
# /etc is gone with it; all else is the machine's.  Needs root, cgroup2 and the packages systemd and dbus.
set -eu

if [[ ${1:-} == --inside ]]; then # pid 1 of the new namespaces
  group=$2
  shift 2
  mount --make-rprivate /
  mount -t tmpfs tmpfs /run
  mkdir -p /run/box/etc /run/box/work
  mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/box/etc,workdir=/run/box/work /etc
  kept=0
  for directory; do
    mkdir "/run/box/$((++kept))"
    mount --bind "$directory" "/run/box/$kept"
  done
  # Systemd empties these at its boot.
  for place in /tmp /var/tmp /var/lib /var/log; do mount -t tmpfs tmpfs "$place"; done
  chmod 1777 /tmp /var/tmp
  kept=0
  for directory; do
    mkdir -p "$directory"
    mount --move "/run/box/$((++kept))" "$directory"
  done
  # Of these namespaces alone: what systemd mounts for a service, its credentials, is to be seen by that.
  mount --make-rshared /
  umount -R /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p "/sys/fs/cgroup/$group"
  echo $$ >"/sys/fs/cgroup/$group/cgroup.procs"
  exec unshare --cgroup bash -c 'umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
    exec env -i PATH="$PATH" container=box /lib/systemd/systemd --system --unit=basic.target --show-status=0'
fi

directory=$1
unshare --fork --kill-child --pid --mount --uts --ipc --mount-proc \
  bash "$0" --inside "workerd-box-$$" "${@:2}" </dev/null >"$directory/log" 2>&1 &
outer=$!
trap 'kill -KILL $outer 2>/dev/null; wait $outer 2>/dev/null; rmdir "/sys/fs/cgroup/workerd-box-$$" 2>/dev/null' EXIT
trap exit TERM INT
until pid1=$(pgrep -P $outer); do sleep 0.05; done
echo "$pid1" >"$directory/pid1.new"
mv "$directory/pid1.new" "$directory/pid1"
wait $outer
