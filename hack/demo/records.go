package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// partitions is how many the sample topic has.
const partitions = 6

// tally checks the records of one run as they come back: every one of them once, its key belonging to its value, all
// from the same run, in order within a key.
type tally struct {
	run       string
	seen      map[int]bool
	partition map[int]int    // records of each partition
	home      map[string]int // partition of each key
	last      map[string]int // last number of each key
}

func newTally(run string) *tally {
	return &tally{run: run, seen: map[int]bool{}, partition: map[int]int{}, home: map[string]int{}, last: map[string]int{}}
}

// keys is how many different keys there are, so that each comes many times.
const keys = 500

// record is the value of a record.
type record struct {
	Run    string `json:"run"`
	Number int    `json:"number"`
}

// add takes one record.
func (t *tally) add(partition int, key, value string) error {
	var r record
	if err := json.Unmarshal([]byte(value), &r); err != nil {
		return fmt.Errorf("a value is not the JSON that was sent: %q: %w", value, err)
	}
	if r.Run != t.run {
		return fmt.Errorf("a record of another run came back: %q", value)
	}
	if want := "customer-" + strconv.Itoa(r.Number%keys); key != want {
		return fmt.Errorf("record %d has the key %q, was sent with %q", r.Number, key, want)
	}
	if t.seen[r.Number] {
		return fmt.Errorf("record %d came back twice", r.Number)
	}
	if home, ok := t.home[key]; ok && home != partition {
		return fmt.Errorf("key %q is in the partitions %d and %d", key, home, partition)
	}
	if last, ok := t.last[key]; ok && last > r.Number {
		return fmt.Errorf("key %q: record %d came after %d", key, r.Number, last)
	}
	t.seen[r.Number], t.home[key], t.last[key] = true, partition, r.Number
	t.partition[partition]++
	return nil
}

// line takes one line of the console consumer, in the form "Partition:3<TAB>key<TAB>value"; others are passed over.
func (t *tally) line(text string) error {
	rest, ok := strings.CutPrefix(text, "Partition:")
	if !ok {
		return nil
	}
	fields := strings.SplitN(rest, "\t", 3)
	if len(fields) != 3 {
		return fmt.Errorf("not a record: %q", text)
	}
	partition, err := strconv.Atoi(fields[0])
	if err != nil {
		return fmt.Errorf("not a record: %q", text)
	}
	return t.add(partition, fields[1], fields[2])
}

// complete tells whether every record came back and no partition was left out.
func (t *tally) complete() error {
	if len(t.seen) != records {
		return fmt.Errorf("%d of %d records came back", len(t.seen), records)
	}
	for p := range partitions {
		if t.partition[p] == 0 {
			return fmt.Errorf("partition %d got no record", p)
		}
	}
	return nil
}

func (t *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d keys; by partition", len(t.seen), len(t.home))
	for p := range partitions {
		fmt.Fprintf(&b, " %d", t.partition[p])
	}
	return b.String()
}
