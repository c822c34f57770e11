# First process of a lab guest, run by /bin/sh in user, mount, PID, UTS and IPC namespaces of its own
# and in the guest's network namespace, which is the host's: root in here is nobody on the host.
# Arguments: the instance id, its line of /etc/hosts for each family, and "user-data" if there is some.
# What is mounted here is seen by the guest alone.
set -eu
read -r _ # until the agent has recorded this process; if it died before, the guest does too
mount -n --make-rprivate / # -n, here and below: /run, where mount keeps notes, is not the guest's
mount -n -t proc -o nosuid,nodev,noexec proc /proc
empty() { # a directory of the guest's own over the host's
	[ ! -d "$2" ] || mount -n -t tmpfs -o "mode=$1,size=256m,nosuid,nodev" tmpfs "$2"
}
# Devices that hold no data of the host's, and nothing else of its /dev.
empty 0755 /mnt
for dev in null zero full random urandom tty; do
	: >/mnt/$dev
	mount -n --bind /dev/$dev /mnt/$dev
done
mkdir -m 1777 /mnt/shm
ln -s /proc/self/fd /mnt/fd
ln -s /proc/self/fd/0 /mnt/stdin
ln -s /proc/self/fd/1 /mnt/stdout
ln -s /proc/self/fd/2 /mnt/stderr
mount -n --move /mnt /dev
empty 0755 /sys # the kernel shows a network in it to its owner alone, and that is the host
empty 0755 /run # no agent socket
empty 1777 /tmp
empty 1777 /var/tmp
empty 0755 /home
empty 0700 /root
mkdir /run/lock /run/lab
# Names: its own, and no name server. Without a line libc asks 127.0.0.1, which refuses at once.
printf '127.0.0.1 localhost\n::1 localhost\n%s' "$2" >/run/lab/hosts
: >/run/lab/resolv.conf
for file in hosts resolv.conf; do
	at=$(readlink -m "/etc/$file") # where it is below /run, the host's is gone already
	[ ! -e "$at" ] || mount -n --bind "/run/lab/$file" "$at"
done
hostname "$1"
if [ -n "$3" ]; then
	cat >/run/lab/user-data # the rest of what the agent writes
	chmod 0700 /run/lab/user-data
	exec </dev/null
	# net_raw, which is good for nothing here, because ping has it as a file capability.
	caps=-all,+chown,+dac_override,+fowner,+kill,+net_bind_service,+net_raw,+setgid,+setuid
	{
		setpriv --bounding-set="$caps" --inh-caps=-all --no-new-privs /run/lab/user-data ||
			echo "user data ended with status $?"
	} &
fi
exec </dev/null
# The namespaces live as long as this process, and so does what the user data left running.
while :; do
	sleep 86400 &
	wait $! || true
done
