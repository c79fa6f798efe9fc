//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const head = "| | bytes sent / received | API server CPU ms | etcd CPU ms | CPU, of the first | at the quietest | " +
	"wall ms | wall, of the first |\n|---|---|---|---|---|---|---|---|\n"

// table compares the costs of a group's variants with those of the first.
func (g group) table(costs [][]cost) string {
	var b strings.Builder
	b.WriteString(head)
	for i, v := range g.variants {
		sent, received := mean(costs[i], sentBytes), mean(costs[i], receivedBytes)
		fmt.Fprintf(&b, "| %s | %.0f / %.0f | %.2f | %.2f | %s | %.2f | %.2f | %s |\n", v.name, sent, received,
			mean(costs[i], kubeAPI), mean(costs[i], etcd), compare(costs[i], costs[0], cpu), quiet(costs[i])/quiet(costs[0]),
			mean(costs[i], wall), compare(costs[i], costs[0], wall))
	}
	return b.String()
}

// quiet is the CPU time above which three quarters of the rounds were: what else the machine does can only add to it.
func quiet(rounds []cost) float64 {
	var all []float64
	for _, c := range rounds {
		all = append(all, cpu(c))
	}
	slices.Sort(all)
	return all[len(all)/4]
}

func sentBytes(c cost) float64     { return c.sent }
func receivedBytes(c cost) float64 { return c.received }
func kubeAPI(c cost) float64       { return c.kubeAPI }
func etcd(c cost) float64          { return c.etcd }
func cpu(c cost) float64           { return c.kubeAPI + c.etcd }
func wall(c cost) float64          { return c.wall }

func mean(rounds []cost, of func(cost) float64) float64 {
	sum := 0.0
	for _, c := range rounds {
		sum += of(c)
	}
	return sum / float64(len(rounds))
}

// compare is the median of the rounds' ratios, and the bounds between which it lies with a certainty of 95 percent.
func compare(rounds, first []cost, of func(cost) float64) string {
	var ratios []float64
	for r := range rounds {
		ratios = append(ratios, of(rounds[r])/of(first[r]))
	}
	slices.Sort(ratios)
	last := len(ratios) - 1
	middle, aside := float64(last)/2, 0.98*math.Sqrt(float64(len(ratios)))
	at := func(rank float64) float64 { return ratios[min(max(int(math.Round(rank)), 0), last)] }
	return fmt.Sprintf("%.2f (%.2f to %.2f)", at(middle), at(middle-aside), at(middle+aside))
}
