package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sallyport/sallyport/server"
)

// ask calls an action as the administrator and returns the answer, which must be one. Headers are not signed.
func ask(t *testing.T, c server.Config, version string, form url.Values, headers map[string]string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(c.DataDir, "credentials"))
	must(t, err)
	m := credentialLines.FindStringSubmatch(string(file))
	form.Set("Version", version)
	body := form.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.Listen+"/", strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(body))
	must(t, v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: m[1], SecretAccessKey: m[2]}, r,
		hex.EncodeToString(sum[:]), "ec2", c.Region, time.Now()))
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w, err := http.DefaultClient.Do(r)
	must(t, err)
	defer w.Body.Close()
	answer, err := io.ReadAll(w.Body)
	must(t, err)
	if w.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", form.Get("Action"), w.Status, answer)
	}
	return string(answer)
}

const (
	ec2Version       = "2016-11-15"
	sallyportVersion = "2026-11-01"
)

// TestWaitForEnforcement: a call waits as long as it was told to, and no longer than the server lives.
func TestWaitForEnforcement(t *testing.T) {
	c := config(t, filepath.Join(t.TempDir(), "data"))
	stop := start(t, c)
	subnet := regexp.MustCompile(`subnet-[0-9a-f]+`).FindString(ask(t, c, ec2Version, url.Values{"Action": {"DescribeSubnets"}}, nil))
	eni := regexp.MustCompile(`eni-[0-9a-f]+`).FindString(
		ask(t, c, ec2Version, url.Values{"Action": {"CreateNetworkInterface"}, "SubnetId": {subnet}}, nil))
	wait := func(id, seconds string) (answer string, took time.Duration) {
		begun := time.Now()
		form := url.Values{"Action": {"DescribeEnforcement"}, "WaitTimeSeconds": {seconds}}
		if id != "" {
			form.Set("NetworkInterfaceId.1", id)
		}
		return ask(t, c, sallyportVersion, form, nil), time.Since(begun)
	}
	if answer, took := wait("", "20"); took > 10*time.Second || !strings.Contains(answer, "<inForce>true</inForce><inForceCount>0</inForceCount>") {
		t.Errorf("where there is nothing to wait for: after %v %s", took, answer)
	}
	const late = "<inForce>false</inForce><inForceCount>0</inForceCount><interfaceCount>1</interfaceCount>"
	if answer, took := wait(eni, "1"); took < time.Second || took > 15*time.Second || !strings.Contains(answer, late) {
		t.Errorf("told to wait a second: after %v %s", took, answer)
	}
	go func() {
		time.Sleep(300 * time.Millisecond) // it waits by then; if not, it is refused, and the test says so
		stop()
	}()
	if answer, took := wait(eni, "20"); took > 15*time.Second || !strings.Contains(answer, late) {
		t.Errorf("of a server that ends: after %v %s", took, answer)
	}
}

// TestCallerAddress: who asks is where the request came from; a proxy is believed only if it is to be.
func TestCallerAddress(t *testing.T) {
	answers := func(t *testing.T, c server.Config, headers map[string]string) string {
		t.Helper()
		answer := ask(t, c, sallyportVersion, url.Values{"Action": {"DescribeCallerAddress"}}, headers)
		_, answer, _ = strings.Cut(answer, "</requestId>")
		return strings.TrimSuffix(answer, "</DescribeCallerAddressResponse>")
	}
	t.Run("nobody is trusted", func(t *testing.T) {
		c := config(t, filepath.Join(t.TempDir(), "data"))
		start(t, c)
		if got := answers(t, c, nil); strings.Contains(got, "Address>") || !strings.Contains(got, "own machine") {
			t.Errorf("over loopback: %s", got)
		}
		for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
			if got := answers(t, c, map[string]string{header: "for=203.0.113.9"}); strings.Contains(got, "Address>") || !strings.Contains(got, "--trusted-proxies") {
				t.Errorf("through somebody who says %s: %s", header, got)
			}
		}
	})
	t.Run("loopback is trusted", func(t *testing.T) {
		c := config(t, filepath.Join(t.TempDir(), "data"))
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		start(t, c)
		for said, want := range map[string]string{
			"203.0.113.9":    "<ipv4Address>203.0.113.9</ipv4Address>",
			"2001:db8::9":    "<ipv6Address>2001:db8::9</ipv6Address>",
			"fe80::1":        "link-local",
			"::ffff:1.2.3.4": "<ipv4Address>1.2.3.4</ipv4Address>",
		} {
			if got := answers(t, c, map[string]string{"X-Forwarded-For": said}); !strings.Contains(got, want) || strings.Count(got, "Address>") > 2 {
				t.Errorf("from %s: %s, want %s", said, got, want)
			}
		}
		if got := answers(t, c, nil); strings.Contains(got, "Address>") {
			t.Errorf("from the proxy itself: %s", got)
		}
	})
}
