package main

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		raw  bool
		want []string
		name string
	}{
		{[]string{"stop", "n1", "--name", "x"}, false, []string{"stop", "n1"}, "x"},
		{[]string{"--name=x", "stop", "n1"}, false, []string{"stop", "n1"}, "x"},
		{[]string{"n1", "--name", "x", "--", "ps", "--name", "y"}, false, []string{"n1", "ps", "--name", "y"}, "x"},
		{[]string{"--name", "x", "--", "get", "pods", "-A"}, true, []string{"get", "pods", "-A"}, "x"},
		{[]string{"get", "pods", "-A"}, true, []string{"get", "pods", "-A"}, "castellan"},
		{nil, false, nil, "castellan"},
	} {
		var o options
		got, err := parse(newFlags(&o), c.args, c.raw)
		if err != nil || !slices.Equal(got, c.want) || o.plan.Name != c.name {
			t.Errorf("%v: got %v, name %s, %v", c.args, got, o.plan.Name, err)
		}
	}
	var o options
	if _, err := parse(newFlags(&o), []string{"--no-such-flag"}, false); err == nil {
		t.Error("an unknown flag is accepted")
	}
}
