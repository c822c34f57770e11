package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// What one transaction may hold. An external etcd must be started with at least as much.
const (
	maxTxnOps       = 4096
	maxRequestBytes = 8 << 20
)

const (
	quotaBytes     = 8 << 30 // of the database file; etcd's documentation advises no more
	quotaWarning   = 0.8     // of quotaBytes in use
	history        = "5m"    // revisions older than this are compacted; a watch that is behind them reads all again
	defragAbove    = 64 << 20
	snapshotEvery  = 1000 // transactions, each of which may be of maxRequestBytes: a start reads those since the last snapshot into memory
	catchUpEntries = 1    // that etcd holds in memory for members that lag behind: it has none
	maintainEvery  = time.Minute
	maxSocketPath  = 100 // Linux allows 107 bytes
	memberName     = "sallyport"
	peerURL        = "http://localhost:2380" // the only member's name for itself: nothing listens there
	dialTimeout    = 10 * time.Second        // of a login
	dialKeepAlive  = 10 * time.Second
	dialKeepAliveT = 5 * time.Second
)

// Etcd is an etcd of one member inside this process. It listens on a Unix socket that only this
// user can reach, and on no port.
type Etcd struct {
	server   *embed.Etcd
	lock     *fileutil.LockedFile
	temp     string // directory of the socket, if the data directory's path is too long for one
	endpoint string
	level    zap.AtomicLevel
	closing  sync.Once
}

// StartEtcd opens the data directory, or makes it, and returns once clients are served. A directory
// that another process has open is an error at once.
func StartEtcd(ctx context.Context, dir string, log *slog.Logger) (_ *Etcd, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // who reaches the socket may write
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	e := &Etcd{}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	// Without this lock a second server would wait for bbolt's without a word.
	e.lock, err = fileutil.TryLockFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("data directory %s is in use by another server: stop it, or choose another directory", dir)
	} else if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	socket := filepath.Join(dir, "client.sock")
	if len(socket) > maxSocketPath {
		if e.temp, err = os.MkdirTemp("", "sallyport-etcd-"); err != nil {
			return nil, fmt.Errorf("make a directory for etcd's socket: %w", err)
		}
		socket = filepath.Join(e.temp, "client.sock")
	}
	client := url.URL{Scheme: "unix", Path: socket}
	e.endpoint = client.String()

	// While it starts, etcd warns of choices that were made on purpose.
	e.level = zap.NewAtomicLevelAt(zap.ErrorLevel)
	cfg := embed.NewConfig()
	cfg.Name = memberName
	cfg.Dir = dir
	cfg.ListenPeerUrls = nil
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	cfg.InitialCluster = memberName + "=" + peerURL
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	cfg.TickMs, cfg.ElectionMs = 10, 100 // there is nobody to wait for
	cfg.MaxTxnOps = maxTxnOps
	cfg.MaxRequestBytes = maxRequestBytes
	cfg.QuotaBackendBytes = quotaBytes
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = snapshotEvery, catchUpEntries
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = history
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&zapToSlog{log: log, level: e.level}))
	if e.server, err = embed.StartEtcd(cfg); err != nil {
		e.server = nil
		return nil, fmt.Errorf("start etcd in %s: %w", dir, err)
	}
	select {
	case <-e.server.Server.ReadyNotify():
	case err := <-e.server.Err():
		return nil, fmt.Errorf("start etcd in %s: %w", dir, err)
	case <-ctx.Done():
		return nil, fmt.Errorf("start etcd in %s: %w", dir, context.Cause(ctx))
	}
	e.level.SetLevel(zap.WarnLevel)
	return e, nil
}

// Endpoint returns the URL that clients of this etcd use.
func (e *Etcd) Endpoint() string { return e.endpoint }

// client returns a client that calls etcd without a connection: no framing, no copies, and fewer
// goroutines between a commit and its fsync. It cannot defragment: that goes through a connection.
func (e *Etcd) client() *clientv3.Client { return v3client.New(e.server.Server) }

// Err yields an error if etcd stops by itself.
func (e *Etcd) Err() <-chan error { return e.server.Err() }

// Close stops etcd and gives the directory free. It may be called more than once. Clients should
// be closed before, or Close waits for them for some seconds.
func (e *Etcd) Close() {
	e.closing.Do(func() {
		if e.server != nil {
			e.level.SetLevel(zap.DPanicLevel) // that its listeners end is an error to etcd
			e.server.Close()                  // panics when called twice
		}
		if e.temp != "" {
			os.RemoveAll(e.temp)
		}
		if e.lock != nil {
			e.lock.Close()
		}
	})
}

// dial returns a client of the etcd at these endpoints. It does not wait for a connection.
func dial(endpoints []string, who EtcdClient, log *slog.Logger) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		TLS:                  who.TLS,
		Username:             who.User,
		Password:             who.Password,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    dialKeepAlive,
		DialKeepAliveTimeout: dialKeepAliveT,
		MaxCallSendMsgSize:   math.MaxInt32, // the server's limit is what counts
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(connectParams)},
		Logger:               zap.New(&zapToSlog{log: log, level: zap.NewAtomicLevelAt(zap.WarnLevel)}),
	})
}

// maintain looks after the embedded etcd until ctx ends: it gives disk space back when half of the
// file is free, and warns before the quota is reached.
func maintain(ctx context.Context, c clientv3.Maintenance, endpoint string, log *slog.Logger) error {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := maintainOnce(ctx, c, endpoint, defragAbove, quotaBytes, log); err != nil && ctx.Err() == nil {
			log.Warn("etcd maintenance", "err", err)
		}
	}
}

func maintainOnce(ctx context.Context, c clientv3.Maintenance, endpoint string, defragAbove, quota int64, log *slog.Logger) error {
	status, err := c.Status(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("read etcd's status: %w", err)
	}
	full := int64(quotaWarning * float64(quota))
	if status.DbSizeInUse > full {
		log.Error("etcd is almost full: soon writes will be refused", "bytes", status.DbSizeInUse, "quota", quota)
	}
	// What etcd compares with its quota is the size of the file, free pages included.
	halfFree := status.DbSize > defragAbove && status.DbSizeInUse < status.DbSize/2
	if halfFree || status.DbSize > full && status.DbSizeInUse < full*9/10 {
		if _, err := c.Defragment(ctx, endpoint); err != nil {
			return fmt.Errorf("defragment etcd: %w", err)
		}
		log.Info("etcd defragmented", "bytes", status.DbSize, "used", status.DbSizeInUse)
		if status, err = c.Status(ctx, endpoint); err != nil {
			return fmt.Errorf("read etcd's status: %w", err)
		}
	}
	if status.DbSize > full || len(status.Errors) == 0 {
		return nil
	}
	// Once it was full, etcd refuses writes until somebody says that there is room again.
	alarms, err := c.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("list etcd's alarms: %w", err)
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != pb.AlarmType_NOSPACE {
			continue
		}
		if _, err := c.AlarmDisarm(ctx, (*clientv3.AlarmMember)(a)); err != nil {
			return fmt.Errorf("disarm etcd's alarm: %w", err)
		}
		log.Info("etcd takes writes again", "bytes", status.DbSize, "quota", quota)
	}
	return nil
}
