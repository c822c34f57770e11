package e2e_test

import (
	"fmt"
	"slices"
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

	alice.click(t, button("Clear filters"))
	alice.scrolls(t)
}

// scrolls goes down the longest page that a list has. What one frame costs the page itself must leave room for sixty in
// a second; what drawing it costs is another matter on a machine without graphics, and only told.
func (p *person) scrolls(t *testing.T) {
	t.Helper()
	p.click(t, button("Preferences"))
	p.click(t, element{Role: "radio", Name: "500 per page"})
	p.click(t, button("Confirm"))
	p.see(t, row("group-").nth(400))
	var scrolled struct {
		Pixels, Work float64
		Frames       []float64 // ms
	}
	p.must(t, &scrolled, "scroll", map[string]any{"step": 120})
	frames := scrolled.Frames
	if len(frames) < 100 || scrolled.Pixels < 10_000 {
		t.Fatalf("500 rows are %.0f pixels, scrolled in %d frames", scrolled.Pixels, len(frames))
	}
	slices.Sort(frames)
	work := scrolled.Work / float64(len(frames))
	t.Logf("500 rows, %.0f pixels: a frame takes the page %.1f ms; with drawing half of %d take up to %.0f ms, the longest %.0f ms",
		scrolled.Pixels, work, len(frames), frames[len(frames)/2], frames[len(frames)-1])
	if work > 1000/60. {
		t.Errorf("a frame of the list takes the page %.1f ms, want room for sixty in a second", work)
	}
}
