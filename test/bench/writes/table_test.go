//go:build linux

package main

import "testing"

func TestRoundsAreComparedOneByOne(t *testing.T) {
	var first, half []cost
	for i := range 40 {
		busy := float64(1 + i%7) // what else the machine does hits both alike
		first, half = append(first, cost{kubeAPI: 2 * busy}), append(half, cost{etcd: busy})
	}
	half[3].etcd, half[20].etcd = 100, 100 // but for two rounds
	if got, want := compare(half, first, cpu), "0.50 (0.50 to 0.50)"; got != want {
		t.Errorf("half of what the first costs: %s, want %s", got, want)
	}
	if got := quiet(half) / quiet(first); got != 0.5 {
		t.Errorf("half of what the first costs at the quietest: %v", got)
	}
	if got := mean([]cost{{kubeAPI: 1, etcd: 1}, {kubeAPI: 4}}, cpu); got != 3 {
		t.Errorf("the mean of 2 and 4: %v", got)
	}
}
