package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/agent/datapath"
	"github.com/sallyport/sallyport/server/ec2api/wire"
)

// dev is a `sallyport dev` on a data directory of its own, in a network namespace of its own.
type dev struct {
	ns       namespace
	http     *http.Client // from there
	program  string
	dir      string
	url      string
	cmd      *exec.Cmd
	exited   chan error
	said     bytes.Buffer // only read after it has ended
	hadPins  bool
	client   *ec2.Client
	creds    aws.Credentials
	revision atomic.Int64 // the newest that an answer named
}

const region = "us-east-1"

// startDev waits until no other agent runs on this machine, and starts one.
func startDev(ctx context.Context, stderr io.Writer) (_ *dev, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &dev{program: filepath.Join(filepath.Dir(self), "sallyport")}
	if _, err := os.Stat(d.program); err != nil {
		return nil, fmt.Errorf("find the sallyport beside this program (make build): %w", err)
	}
	if d.dir, err = os.MkdirTemp("", "spt-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	if err := d.ns.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	}); err != nil {
		return nil, fmt.Errorf("set up loopback: %w", err)
	}
	d.http = &http.Client{Transport: &http.Transport{DialContext: d.dial}}
	for {
		if err := waitForOthers(ctx, stderr); err != nil {
			return nil, err
		}
		_, err := os.Stat(datapath.DefaultPins)
		d.hadPins = err == nil
		if err = d.start(ctx); err == nil {
			break
		}
		// One that came between the look and the start.
		if !errors.Is(err, errEnded) || !strings.Contains(d.said.String(), "another agent runs") {
			return nil, err
		}
	}
	profile, err := config.LoadSharedConfigProfile(ctx, "default", func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{filepath.Join(d.dir, "credentials")}, []string{}
	})
	if err != nil {
		return nil, fmt.Errorf("read dev's credentials: %w", err)
	}
	d.creds = profile.Credentials
	d.client = ec2.New(ec2.Options{
		Region: region, BaseEndpoint: aws.String(d.url), HTTPClient: d, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return d.creds, nil }),
	})
	return d, nil
}

// waitForOthers waits, for at most ten minutes, until no agent runs on this machine and none has left
// filters in force.
func waitForOthers(ctx context.Context, stderr io.Writer) error {
	var last error
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
		busy := othersHere()
		if busy == nil {
			return nil
		}
		if last == nil {
			fmt.Fprintf(stderr, "waiting: %v\n", busy)
		}
		last = busy
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return errors.New("interrupted")
		}
	}
	return fmt.Errorf("waited for ten minutes: %w", last)
}

// othersHere is an error while this machine's one agent is somebody else's.
func othersHere() error {
	const path = "/run/sallyport/agent.lock"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("an agent runs on this machine (it holds %s): %w", path, err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	links, err := os.ReadDir(datapath.DefaultPins + "/links")
	if err == nil && len(links) > 0 {
		return fmt.Errorf("filters of an agent that has ended are in force on this machine (%s/links); "+
			"if nobody needs them, remove them with: sallyport dev --purge", datapath.DefaultPins)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// dial connects to dev: a socket is of the namespace in which it was made.
func (d *dev) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = d.ns.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

var errEnded = errors.New("dev ended before it was ready")

// start starts dev and waits until it is ready. The kernel ends it with this process.
func (d *dev) start(ctx context.Context) error {
	var listen, feed string
	if err := d.ns.do(func() (err error) {
		if listen, err = freePort(); err == nil {
			feed, err = freePort()
		}
		return err
	}); err != nil {
		return err
	}
	d.url = "http://" + listen
	d.said.Reset()
	d.cmd = exec.Command(d.program, "dev", "--data-dir", d.dir, "--listen", listen, "--feed-listen", feed, "--region", region)
	d.cmd.Stderr = &d.said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	started, ready := make(chan error), make(chan struct{})
	d.exited = make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig means this thread, and the child is in its namespace
		err := netns.Set(netns.NsHandle(d.ns))
		if err == nil {
			err = d.cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		go func() {
			for s := bufio.NewScanner(stdout); s.Scan(); {
				if strings.HasPrefix(s.Text(), "ready") {
					close(ready)
					break
				}
			}
			_, _ = io.Copy(io.Discard, stdout)
		}()
		d.exited <- d.cmd.Wait()
	}()
	if err := <-started; err != nil {
		d.cmd = nil
		return fmt.Errorf("start dev: %w", err)
	}
	select {
	case <-ready:
		return nil
	case err := <-d.exited:
		d.cmd = nil
		return fmt.Errorf("%w: %w\n%s", errEnded, err, d.said.String())
	case <-time.After(time.Minute):
		return errors.New("dev was not ready after a minute")
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// close stops dev and removes what it left.
func (d *dev) close() error {
	var errs []error
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-d.exited:
			if err != nil {
				errs = append(errs, fmt.Errorf("dev did not stop cleanly: %w\n%s", err, d.said.String()))
			}
		case <-time.After(time.Minute):
			_ = d.cmd.Process.Kill()
			errs = append(errs, errors.New("dev did not stop within a minute"))
		}
		if !d.hadPins {
			if out, err := exec.Command(d.program, "dev", "--purge").CombinedOutput(); err != nil {
				errs = append(errs, fmt.Errorf("purge: %w: %s", err, out))
			}
		}
	}
	if d.ns != 0 {
		errs = append(errs, netnsClose(d.ns))
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// Do sends a request, and remembers the revision of its answer.
func (d *dev) Do(req *http.Request) (*http.Response, error) {
	res, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	if r, err := strconv.ParseInt(res.Header.Get("x-sallyport-revision"), 10, 64); err == nil {
		d.revision.Store(r)
	}
	return res, nil
}

// isInForce asks, once, whether a revision is in force on all of some interfaces.
func (d *dev) isInForce(ctx context.Context, revision int64, enis ...string) (bool, error) {
	call := wire.DescribeEnforcementCall
	body := []byte(call.Form(&wire.DescribeEnforcementRequest{NetworkInterfaceIds: enis, Revision: &revision}).Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, d.creds, req, hex.EncodeToString(hash[:]), "ec2", region, time.Now()); err != nil {
		return false, err
	}
	res, err := d.http.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("DescribeEnforcement: %s: %s", res.Status, answer)
	}
	out, err := call.Parse(answer)
	if err != nil {
		return false, err
	}
	return wire.Value(out.InForce), nil
}

// manyGroups is how many security groups many ENIs share.
const manyGroups = 20

// makeENIs makes ENIs and a device for each on dev's host, and waits until all are in force. They share
// manyGroups groups, of which the probed guest's is one; each lets in its own members.
func (d *dev) makeENIs(ctx context.Context, g labGuest, n int) error {
	groups := []string{g.group}
	for i := 1; i < manyGroups; i++ {
		made, err := d.client.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
			GroupName: aws.String(fmt.Sprintf("crowd-%d", i)), Description: aws.String("of many"),
		})
		if err != nil {
			return err
		}
		groups = append(groups, *made.GroupId)
	}
	for _, id := range groups {
		if _, err := d.client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: &id, IpPermissions: []types.IpPermission{{
				IpProtocol: aws.String("-1"), UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: &id}},
			}},
		}); err != nil {
			return err
		}
	}
	subnets, err := d.client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	if err != nil {
		return err
	}
	if len(subnets.Subnets) == 0 {
		return errors.New("dev has no subnet")
	}
	enis := make([]string, n)
	calls, callCtx := errgroup.WithContext(ctx)
	calls.SetLimit(16)
	for i := range enis {
		calls.Go(func() error {
			made, err := d.client.CreateNetworkInterface(callCtx, &ec2.CreateNetworkInterfaceInput{
				SubnetId: subnets.Subnets[0].SubnetId, Groups: []string{groups[i%len(groups)]},
			})
			if err == nil {
				enis[i] = *made.NetworkInterface.NetworkInterfaceId
			}
			return err
		})
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	revision := d.revision.Load()
	if err := d.ns.do(func() error {
		for i, id := range enis {
			device := fmt.Sprintf("crowd%d", i)
			if _, err := newDevice(device); err != nil {
				return err
			}
			l, err := netlink.LinkByName(device)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetAlias(l, id); err != nil {
				return fmt.Errorf("set the alias of %s: %w", device, err)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return d.waitInForce(ctx, revision, enis...)
}

// waitInForce waits until a revision is in force on interfaces.
func (d *dev) waitInForce(ctx context.Context, revision int64, enis ...string) error {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		yes, err := d.isInForce(ctx, revision, enis...)
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("revision %d is not in force after five minutes", revision)
		}
	}
}
