package main

import (
	"errors"
	"fmt"
	"io"
)

// goal is a figure that Sallyport set itself, and what this run measured of it.
type goal struct {
	Name     string
	Measured float64
	Limit    float64
	AtLeast  bool    // Measured must not be below Limit; otherwise not above it
	Floor    float64 // what the least that can be done there comes to; 0: not measured
	Unit     string  // of all; empty: a ratio
	Met      bool    // set by report.goal
}

// goal adds one line to the table of goals at the end of the run.
func (r *report) goal(g goal) {
	// What is not a number meets nothing.
	g.Met = g.Measured <= g.Limit
	if g.AtLeast {
		g.Met = g.Measured >= g.Limit
	}
	r.Goals = append(r.Goals, g)
}

func (g goal) limit() string {
	sign := "≤"
	if g.AtLeast {
		sign = "≥"
	}
	return sign + " " + g.value(g.Limit)
}

func (g goal) value(v float64) string {
	if g.Unit == "" {
		return fmt.Sprintf("%.2f", v)
	}
	return number(v) + " " + g.Unit
}

func (g goal) verdict() string {
	if g.Met {
		return "met"
	}
	if g.Floor != 0 {
		return "NOT met; the floor is " + g.value(g.Floor)
	}
	return "NOT met"
}

// errGoals is what a strict run ends with when a goal was not met.
var errGoals = errors.New("not every goal was met")

// printGoals writes the table of goals, and returns errGoals if one was not met.
func printGoals(w io.Writer, goals []goal) error {
	if len(goals) == 0 {
		return nil
	}
	var err error
	fmt.Fprint(w, "\ngoal\tmeasured\twanted\t\t\n")
	for _, g := range goals {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", g.Name, g.value(g.Measured), g.limit(), g.verdict())
		if !g.Met {
			err = errGoals
		}
	}
	return err
}
