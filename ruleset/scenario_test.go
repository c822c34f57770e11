package ruleset_test

import (
	"testing"

	"github.com/sallyport/sallyport/ruleset/scenariotest"
)

func TestScenarios(t *testing.T) {
	var results []scenariotest.Result
	for _, e := range []scenariotest.Engine{scenariotest.Evaluate(), scenariotest.Table()} {
		t.Run(e.Name(), func(t *testing.T) {
			results = append(results, scenariotest.Run(t, "testdata", e)...)
		})
	}
	if err := scenariotest.Print(t.Output(), results); err != nil {
		t.Error(err)
	}
}
