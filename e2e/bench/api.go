package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/server/ec2api/ec2apitest"
	"github.com/sallyport/sallyport/vpc"
)

// checkEvery is how many answers go by until one is parsed and compared. Status and length are checked
// of all.
const checkEvery = 1000

// apiFigures is what the API part measured.
type apiFigures struct {
	Sizes        apiSizes
	Rates        []rate
	ReadyMS      float64 // from the start of the process to its first answer, with the whole world
	ReadyCPUMS   float64 // CPU time of the server until then
	PagesMS      float64 // all groups, page by page, as the caller waits
	PagesCPUMS   float64 // CPU time of the server for them
	PagesBytes   int64
	StateMiB     float64
	ReadyRSSMiB  float64 // of the server process, once ready
	LoadedRSSMiB float64 // after the rows
	PeakRSSMiB   float64
}

// rate is one kind of call, from all callers at once.
type rate struct {
	Name                 string
	Calls                int
	Seconds              float64
	P50, P99             float64 // ms
	ServerCPU, ClientCPU float64 // µs of CPU per call, of the server and of this program
}

// apiServer is a `sallyport server` alone, with a data directory and ports of its own.
type apiServer struct {
	program, dir, addr, feed string
	cmd                      *exec.Cmd
	said                     bytes.Buffer // only read after it has ended
	creds                    aws.Credentials
}

func measureAPI(ctx context.Context, quickly bool, stderr io.Writer) (_ *apiFigures, err error) {
	size := fullAPI
	if quickly {
		size = quickAPI
	}
	s, world, held, err := newAPIServer(ctx, size, stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	f := &apiFigures{Sizes: size, StateMiB: float64(held) / (1 << 20)}
	took, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	f.ReadyMS = float64(took.Microseconds()) / 1000
	used, err := s.cpu()
	if err != nil {
		return nil, err
	}
	f.ReadyCPUMS = float64(used.Milliseconds())
	if f.ReadyRSSMiB, err = s.status("VmRSS"); err != nil {
		return nil, err
	}
	if err := f.rows(ctx, s, world, stderr); err != nil {
		return nil, err
	}
	if f.LoadedRSSMiB, err = s.status("VmRSS"); err == nil {
		f.PeakRSSMiB, err = s.status("VmHWM")
	}
	return f, err
}

// newAPIServer prepares a server with a world, which is not running yet; held is the memory of its State.
func newAPIServer(ctx context.Context, size apiSizes, stderr io.Writer) (_ *apiServer, world *apiWorld, held int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, 0, err
	}
	s := &apiServer{program: filepath.Join(filepath.Dir(self), "sallyport")}
	if s.dir, err = os.MkdirTemp("", "spt-bench-api-"); err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	if s.addr, err = freeAddr(); err != nil {
		return nil, nil, 0, err
	}
	if s.feed, err = freeAddr(); err != nil {
		return nil, nil, 0, err
	}
	fmt.Fprintf(stderr, "api: making %d groups of %d rules and %d interfaces\n", size.Groups, size.Rules, size.ENIs)
	if _, err := s.start(ctx); err != nil { // makes the installation
		return nil, nil, 0, err
	}
	if err := s.stop(); err != nil {
		return nil, nil, 0, err
	}
	world = newAPIWorld(size)
	if held, err = world.stateBytes(); err != nil {
		return nil, nil, 0, err
	}
	if err := world.fill(ctx, s.dir); err != nil {
		return nil, nil, 0, fmt.Errorf("fill the store: %w", err)
	}
	world.objects = nil
	return s, world, held, nil
}

func (s *apiServer) remove() error { return errors.Join(s.stop(), os.RemoveAll(s.dir)) }

func (f *apiFigures) rows(ctx context.Context, s *apiServer, world *apiWorld, stderr io.Writer) error {
	for _, row := range []struct {
		name string
		call func(n int) func(*ec2apitest.Client) error
	}{
		{fmt.Sprintf("one group of %d rules, by id", f.Sizes.Rules), func(int) func(*ec2apitest.Client) error {
			return describeOne(ctx, world, f.Sizes.Rules)
		}},
		{"a rule more, acknowledged after fsync; groups that had none", authorizeInto(ctx, world.empty)},
		{fmt.Sprintf("the same; groups that had %d", f.Sizes.Rules), authorizeInto(ctx, world.full)},
	} {
		fmt.Fprintf(stderr, "api: %s\n", row.name)
		r, err := s.load(ctx, f.Sizes, row.call)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		r.Name = row.name
		f.Rates = append(f.Rates, r)
	}
	return f.pages(ctx, s, len(world.full)+len(world.empty)+3)
}

// load lets callers call for a time. call returns what the nth of them does, again and again.
func (s *apiServer) load(ctx context.Context, size apiSizes, call func(n int) func(*ec2apitest.Client) error) (rate, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server, err := s.cpu()
	if err != nil {
		return rate{}, err
	}
	self := ownCPU()
	var mu sync.Mutex
	var took []float64
	var failed error
	var wg sync.WaitGroup
	begin := time.Now()
	for n := range size.Callers {
		wg.Go(func() {
			client := ec2apitest.New(s.addr, region, s.creds)
			defer client.Close()
			do := call(n)
			var mine []float64
			var err error
			for err == nil && ctx.Err() == nil && time.Since(begin) < size.Time {
				start := time.Now()
				err = do(client)
				mine = append(mine, float64(time.Since(start).Microseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return rate{}, failed
	}
	seconds := time.Since(begin).Seconds()
	after, err := s.cpu()
	if err != nil {
		return rate{}, err
	}
	calls := float64(len(took))
	return rate{
		Calls: len(took), Seconds: seconds, P50: median(took), P99: quantile(took, 0.99),
		ServerCPU: float64((after - server).Microseconds()) / calls, ClientCPU: float64((ownCPU() - self).Microseconds()) / calls,
	}, ctx.Err()
}

// groupAnswer is what a DescribeSecurityGroups answer says of groups.
type groupAnswer struct {
	Groups []struct {
		ID          string `xml:"groupId"`
		Name        string `xml:"groupName"`
		Permissions []struct {
			From   int `xml:"fromPort"`
			Ranges []struct {
				CIDR string `xml:"cidrIp"`
			} `xml:"ipRanges>item"`
		} `xml:"ipPermissions>item"`
	} `xml:"securityGroupInfo>item"`
	Next string `xml:"nextToken"`
}

// describeOne asks for one group after the other, in random order.
func describeOne(ctx context.Context, world *apiWorld, rules int) func(*ec2apitest.Client) error {
	n := 0
	lengths := map[int]int{} // of the answer for a group, by its place: a group does not change
	return func(c *ec2apitest.Client) error {
		n++
		i := rand.IntN(len(world.full))
		id := string(world.full[i])
		a, err := c.Send(ctx, []byte("Action=DescribeSecurityGroups&Version=2016-11-15&GroupId.1="+id))
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK {
			return fmt.Errorf("%d: %.300s", a.Status, a.Body)
		}
		if want := lengths[i]; want != 0 && want != len(a.Body) || len(a.Body) < 100*rules {
			return fmt.Errorf("%s: an answer of %d bytes, want %d", id, len(a.Body), want)
		}
		lengths[i] = len(a.Body)
		if n%checkEvery != 0 {
			return nil
		}
		var got groupAnswer
		if err := xml.Unmarshal(a.Body, &got); err != nil {
			return err
		}
		found := 0
		if len(got.Groups) == 1 && got.Groups[0].ID == id && got.Groups[0].Name == fmt.Sprintf("group-%05d", i) {
			for _, p := range got.Groups[0].Permissions {
				for _, r := range p.Ranges {
					if strings.HasPrefix(r.CIDR, fmt.Sprintf("10.%d.", found)) && p.From == 1000+found/2 {
						found++
					}
				}
			}
		}
		if found != rules {
			return fmt.Errorf("%s: the answer shows %d of its %d rules as they are", id, found, rules)
		}
		return nil
	}
}

// authorizeInto adds a rule that there is not to one group after the other.
func authorizeInto(ctx context.Context, groups []vpc.GroupID) func(int) func(*ec2apitest.Client) error {
	return func(caller int) func(*ec2apitest.Client) error {
		n := 0
		return func(c *ec2apitest.Client) error {
			n++
			id := string(groups[(n*8+caller)%len(groups)])
			port := strconv.Itoa(20000 + n%40000)
			block := fmt.Sprintf("192.168.%d.%d/32", caller, n/40000)
			a, err := c.Send(ctx, []byte("Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId="+id+
				"&IpPermissions.1.FromPort="+port+"&IpPermissions.1.ToPort="+port+
				"&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.IpRanges.1.CidrIp="+strings.Replace(block, "/", "%2F", 1)))
			if err != nil {
				return err
			}
			if a.Status != http.StatusOK || a.Revision == 0 || len(a.Body) < 500 {
				return fmt.Errorf("%d, revision %d: %.300s", a.Status, a.Revision, a.Body)
			}
			if n%checkEvery == 0 && (a.Text("groupId") != id || a.Text("fromPort") != port || a.Text("cidrIpv4") != block) {
				return fmt.Errorf("asked for %s %s %s, got %s", id, port, block, a.Body)
			}
			return nil
		}
	}
}

// pages reads all groups in pages of 1,000.
func (f *apiFigures) pages(ctx context.Context, s *apiServer, want int) error {
	c := ec2apitest.New(s.addr, region, s.creds)
	defer c.Close()
	before, err := s.cpu()
	if err != nil {
		return err
	}
	var took time.Duration
	seen := map[string]bool{}
	for next := ""; ; {
		form := ec2apitest.Form("DescribeSecurityGroups", "MaxResults", "1000")
		if next != "" {
			form.Set("NextToken", next)
		}
		start := time.Now()
		a, err := c.Do(ctx, form)
		took += time.Since(start)
		if err != nil {
			return err
		}
		f.PagesBytes += int64(len(a.Body))
		var got groupAnswer
		if err := xml.Unmarshal(a.Body, &got); err != nil {
			return err
		}
		for _, g := range got.Groups {
			seen[g.ID] = true
		}
		if next = got.Next; next == "" {
			break
		}
	}
	after, err := s.cpu()
	if err != nil {
		return err
	}
	if len(seen) != want {
		return fmt.Errorf("the pages show %d groups, want %d", len(seen), want)
	}
	f.PagesMS, f.PagesCPUMS = float64(took.Microseconds())/1000, float64((after-before).Microseconds())/1000
	return nil
}

// start runs the server and returns how long it took until it answered.
func (s *apiServer) start(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	s.cmd = exec.CommandContext(ctx, s.program, "server", "--data-dir", s.dir, "--listen", s.addr, "--feed-listen", s.feed)
	s.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.dir)
	s.said.Reset()
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		return 0, err
	}
	for {
		res, err := http.Get("http://" + s.addr + "/")
		if err == nil {
			res.Body.Close()
			break
		}
		// The kernel may still be taking down what the part before has made.
		if time.Since(begin) > 3*time.Minute || s.cmd.Process.Signal(syscall.Signal(0)) != nil {
			return 0, errors.Join(fmt.Errorf("the server does not answer after three minutes: %w", err), s.stop())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	took := time.Since(begin)
	var err error
	s.creds, err = ec2apitest.Credentials(s.dir)
	return took, err
}

func (s *apiServer) stop() error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the server ended: %w\n%s", err, s.said.String())
	}
	return nil
}

// cpu returns the CPU time that the server has used.
func (s *apiServer) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold blanks
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, fmt.Errorf("unexpected /proc stat %q", stat)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go knows
	var sum time.Duration
	for _, f := range fields[11:13] { // utime, stime: 14 and 15 of proc(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// status returns a line of the server's /proc status, in MiB.
func (s *apiServer) status(name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc status", name)
}

func ownCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails only for an unknown first argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// print says what was measured, and beside it what there must be.
func (f *apiFigures) print(w io.Writer) {
	fmt.Fprintf(w, "API, %d callers, %d groups of %d rules, %d interfaces\tcalls/s\tp50 ms\tp99 ms\tCPU µs per call: server\tclient\twanted\t\n",
		f.Sizes.Callers, f.Sizes.Groups, f.Sizes.Rules, f.Sizes.ENIs)
	wanted := []string{"≥ 10000", "≥ 3000", ""}
	for i, r := range f.Rates {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%s\t\n",
			r.Name, float64(r.Calls)/r.Seconds, r.P50, r.P99, r.ServerCPU, r.ClientCPU, wanted[i])
	}
	fmt.Fprint(w, "\n\tmeasured\twanted\t\n")
	for _, x := range []struct {
		name   string
		value  float64
		wanted string
	}{
		{fmt.Sprintf("all groups in pages of 1,000 (%d MB), ms of the server's CPU", f.PagesBytes/1_000_000), f.PagesCPUMS, "< 1000"},
		{"  ms until the caller has them", f.PagesMS, ""},
		{"start until the first answer, ms", f.ReadyMS, "< 10000"},
		{"  ms of the server's CPU until then", f.ReadyCPUMS, ""},
		{"State, MiB", f.StateMiB, "< 600"},
		{"resident once ready, MiB", f.ReadyRSSMiB, "< 1536"},
		{"resident after these rows, MiB", f.LoadedRSSMiB, "< 1536"},
		{"  at most", f.PeakRSSMiB, ""},
	} {
		fmt.Fprintf(w, "%s\t%.0f\t%s\t\n", x.name, x.value, x.wanted)
	}
}
