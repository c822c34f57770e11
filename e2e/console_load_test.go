package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/sync/errgroup"
)

// maxScript is how much JavaScript the first page may load, in bytes as sent.
const maxScript = 450_000

// TestConsoleLoads shows what the list of security groups costs when there are as many as a Region holds:
// the size of its scripts, which has a limit, and how soon it is there, which depends on the machine.
func TestConsoleLoads(t *testing.T) {
	d := startDev(t, t.TempDir())
	const groups = 2500 // with the default one
	sdk := newClient(t, d)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for i := 1; i < groups; i++ {
		g.Go(func() error {
			_, err := sdk.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
				GroupName: aws.String(fmt.Sprintf("group-%04d", i)), Description: aws.String("One of many"),
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	alice := startBrowser(t).signIn(t, d, "alice", window{})
	alice.see(t, text("(2,500)"))

	// As somebody who comes back: signed in, and with nothing in the cache.
	alice.must(t, nil, "reloadCold", nil)
	var paint struct {
		Now, FirstContentfulPaint float64 // ms since the page was asked for
		JavaScript                []struct {
			Path             string
			Encoded, Decoded int // bytes
		}
	}
	alice.must(t, &paint, "paint", at(row("group-")))
	sent, size := 0, 0
	for _, file := range paint.JavaScript {
		sent, size = sent+file.Encoded, size+file.Decoded
		t.Logf("%7d bytes of %s", file.Encoded, file.Path)
	}
	t.Logf("the list of %d groups is there after %.0f ms, something after %.0f ms; JavaScript: %d bytes in %d files, %d unpacked",
		groups, paint.Now, paint.FirstContentfulPaint, sent, len(paint.JavaScript), size)
	if sent == 0 || sent > maxScript {
		t.Errorf("the first page loads %d bytes of JavaScript, want up to %d", sent, maxScript)
	}

	start := time.Now()
	alice.fill(t, field("Find security groups"), "group-2468")
	alice.press(t, "Enter")
	alice.see(t, text("1 match"))
	alice.see(t, row("group-2468"))
	t.Logf("one of them is found after %v", time.Since(start).Round(time.Millisecond))
}
