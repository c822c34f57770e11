package clients_test

import "testing"

func TestBoto3(t *testing.T) {
	t.Parallel()
	startServer(t).run(t, python, "testdata/boto3_test.py")
}
