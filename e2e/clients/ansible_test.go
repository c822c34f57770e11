package clients_test

import "testing"

func TestAnsible(t *testing.T) {
	t.Parallel()
	startServer(t).run(t, ansible, "--inventory", "localhost,", "testdata/ansible.yml")
}
