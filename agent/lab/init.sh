# First process of a lab guest, run by /bin/sh in mount, PID, UTS and IPC namespaces of its own and
# in the guest's network namespace. Arguments: the instance id, and the user data script or nothing.
# What is mounted here is seen by the guest alone.
set -eu
read -r _ # until the agent has recorded this process; if it died before, the guest does too
exec </dev/null
mount --make-rprivate /
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys # this network's, and without the bpf file system
if [ -n "$2" ]; then # the script lies below /run, which goes
	mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /mnt
	cp "$2" /mnt/user-data
fi
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run # no agent socket
hostname "$1"
if [ -n "$2" ]; then
	mkdir /run/lab
	mount --move /mnt /run/lab
	caps=-all,+chown,+dac_override,+fowner,+kill,+net_bind_service,+net_raw,+setgid,+setuid
	{
		setpriv --bounding-set="$caps" --inh-caps=-all --no-new-privs /run/lab/user-data </dev/null ||
			echo "user data ended with status $?"
	} &
fi
# The namespaces live as long as this process, and so does what the user data left running.
while :; do
	sleep 86400 &
	wait $! || true
done
