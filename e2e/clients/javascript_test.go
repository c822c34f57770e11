package clients_test

import "testing"

func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	startServer(t).run(t, "node", "--test", "testdata/javascript_test.js")
}
