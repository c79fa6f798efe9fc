package main

import (
	"fmt"
	"strings"
	"testing"
)

func line(partition, number int, run string) string {
	return fmt.Sprintf("Partition:%d\tcustomer-%d\t{\"run\":\"%s\",\"number\":%d}", partition, number%keys, run, number)
}

func TestAllRecordsOnceAndInOrderAreComplete(t *testing.T) {
	tally := newTally("r")
	if err := tally.line("Processed a total of 10000 messages"); err != nil {
		t.Fatal("other lines of the consumer are not passed over:", err)
	}
	for n := range records {
		if err := tally.line(line(n%keys%partitions, n, "r")); err != nil {
			t.Fatal(err)
		}
	}
	if err := tally.complete(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"a record twice":              {[]string{line(0, 1, "r"), line(0, 1, "r")}, "twice"},
		"a record of another run":     {[]string{line(0, 1, "s")}, "another run"},
		"a key in two partitions":     {[]string{line(0, 1, "r"), line(1, 1+keys, "r")}, "partitions"},
		"a key's records in disarray": {[]string{line(0, 1+keys, "r"), line(0, 1, "r")}, "came after"},
		"a value that is no JSON":     {[]string{"Partition:0\tcustomer-1\t{"}, "not the JSON"},
		"a wrong key":                 {[]string{"Partition:0\tcustomer-2\t{\"run\":\"r\",\"number\":1}"}, "was sent with"},
	} {
		t.Run(name, func(t *testing.T) {
			tally := newTally("r")
			var err error
			for _, l := range c.lines {
				if err = tally.line(l); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	t.Run("a lost record", func(t *testing.T) {
		tally := newTally("r")
		_ = tally.line(line(0, 1, "r"))
		if err := tally.complete(); err == nil {
			t.Error("no error")
		}
	})
}
