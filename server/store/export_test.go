package store

import clientv3 "go.etcd.io/etcd/client/v3"

// Inject lets a test stand between a store and its etcd client. It must be called before Run.
func (s *Store) Inject(
	kv func(clientv3.KV) clientv3.KV, watcher func(clientv3.Watcher) clientv3.Watcher, lease func(clientv3.Lease) clientv3.Lease,
) {
	s.wrap = func(s *Store) { s.kv, s.watcher, s.lease = kv(s.kv), watcher(s.watcher), lease(s.lease) }
}

// MaintainOnce is one round of what the store does for its embedded etcd each minute.
var MaintainOnce = maintainOnce
