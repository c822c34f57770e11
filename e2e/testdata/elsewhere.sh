#!/bin/bash
# Runs a command with a network, pins and an agent's socket of its own, as if on another machine: elsewhere.sh COMMAND…
exec unshare --mount --net bash -euc '
mount --make-rprivate /
mkdir -p /run/sallyport /run/netns
mount -t tmpfs tmpfs /run/sallyport
mount -t tmpfs tmpfs /run/netns
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
exec "$@"' -- "$@"
