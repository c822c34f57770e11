package clients_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// TestPage runs the lines of docs/clients.md as they stand, after its first: those for a shell, Python and
// JavaScript. Each must say what it found.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t)
	var setUp string
	ran := map[string]int{}
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		language, lines := m[1], m[2]
		var program, want string
		switch {
		case language == "sh" && setUp == "":
			setUp = strings.Replace(lines, "sallyport env", sallyport+" env --data-dir "+s.dir, 1)
			if setUp == lines {
				t.Fatalf("the first lines do not set up: %s", lines)
			}
			continue
		case language == "sh":
			program, want = lines, "172.31.0.0/16"
			if strings.Contains(lines, "security") {
				want = "default"
			}
		case language == "python":
			program, want = python+" - <<'END'\n"+lines+"END\n", "default"
		case language == "js":
			program, want = "node - <<'END'\n"+lines+"END\n", "default"
		default:
			continue // Go, Terraform's and Ansible's settings
		}
		ran[language]++
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", "shopt -s expand_aliases\n"+setUp+program)
		cmd.Env = append(s.env(t), "PATH=/usr/bin:/bin:"+os.Getenv("PATH"))
		for _, set := range []string{"AWS_ENDPOINT_URL", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION", "AWS_REGION"} {
			cmd.Env = append(cmd.Env, set+"=") // the page itself says it
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s%v\n%s\nwant %s in it", lines, err, out, want)
		}
	}
	if ran["sh"] < 3 || ran["python"] == 0 || ran["js"] == 0 {
		t.Errorf("of the page ran %v: too few", ran)
	}
}
