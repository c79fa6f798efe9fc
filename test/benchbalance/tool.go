package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const reassignPartitions = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"

// proposal is a plan of Kafka's tool: as it prints it, and where each partition would be.
type proposal struct {
	text       string
	assignment [][]int32
}

// generate asks Kafka's tool where the replicas should be. It begins at a broker of its choice, so that no two of its
// plans are the same.
func (w *world) generate(ctx context.Context, dir string) (proposal, error) {
	topics := filepath.Join(dir, "topics.json")
	text := fmt.Sprintf(`{"version":1,"topics":[{"topic":%q}]}`, topic)
	if err := os.WriteFile(topics, []byte(text), 0o600); err != nil {
		return proposal{}, err
	}
	brokers := strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ","), "[]")
	out, err := w.brokers.Tool(ctx, reassignPartitions, "--generate", "--topics-to-move-json-file", topics,
		"--broker-list", brokers)
	if err != nil {
		return proposal{}, err
	}
	return parseProposal(out)
}

// parseProposal finds the plan in what the tool prints: the last line that is JSON.
func parseProposal(out string) (proposal, error) {
	p := proposal{assignment: make([][]int32, partitions)}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "{") {
			p.text = line
		}
	}
	var told struct {
		Partitions []struct {
			Partition int32   `json:"partition"`
			Replicas  []int32 `json:"replicas"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal([]byte(p.text), &told); err != nil {
		return p, fmt.Errorf("read the plan in %q: %w", out, err)
	}
	for _, one := range told.Partitions {
		if one.Partition < 0 || int(one.Partition) >= partitions {
			return p, fmt.Errorf("the plan names partition %d of %d", one.Partition, partitions)
		}
		p.assignment[one.Partition] = one.Replicas
	}
	if slices.ContainsFunc(p.assignment, func(replicas []int32) bool { return len(replicas) == 0 }) {
		return p, fmt.Errorf("the plan leaves partitions out: %s", p.text)
	}
	return p, nil
}

// execute carries a plan out by Kafka's tool, under its throttle, which --verify takes off once everything has arrived.
func (w *world) execute(ctx context.Context, dir string, p proposal) error {
	file := filepath.Join(dir, "plan.json")
	if err := os.WriteFile(file, []byte(p.text), 0o600); err != nil {
		return err
	}
	args := []string{"--execute", "--reassignment-json-file", file}
	if w.options.Rate > 0 {
		args = append(args, "--throttle", fmt.Sprint(w.options.Rate))
	}
	if _, err := w.brokers.Tool(ctx, reassignPartitions, args...); err != nil {
		return err
	}
	err := w.wait(ctx, "Kafka's plan is carried out", func() error {
		under, err := w.admin.Reassignments(ctx)
		if err == nil && len(under) > 0 {
			err = fmt.Errorf("%d partitions are under way", len(under[topic]))
		}
		return err
	})
	if err != nil {
		return err
	}
	out, err := w.brokers.Tool(ctx, reassignPartitions, "--verify", "--reassignment-json-file", file)
	if err == nil && strings.Contains(out, "in progress") {
		err = errors.New("nothing is under way, and the tool says otherwise: " + out)
	}
	return err
}
