package clients_test

import (
	"path/filepath"
	"testing"
)

func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Abs(filepath.Join(jsFolder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	startServer(t).run(t, []string{"NODE_PATH=" + modules}, "node", "--test", "testdata/javascript_test.js")
}
