package pki

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

func TestTheSizeOfABundleIsKnownBeforeItIsIssued(t *testing.T) {
	rng := rand.New(rand.NewPCG(24, 820))
	closest, farthest := 1<<20, 0
	for range 200 {
		name := strings.Repeat("a", 1+rng.IntN(64))
		ca := mustAuthority(t, name)
		want := Request{
			CommonName: "kafka-node", Organization: "castellan", Usages: Usages{Server: true, Client: true}, ValidFor: time.Hour,
		}
		for range 1 + rng.IntN(20) {
			want.DNSNames = append(want.DNSNames, strings.Repeat("n", 1+rng.IntN(250)))
		}
		if rng.IntN(2) == 0 {
			want.IPs = []net.IP{net.ParseIP("2001:db8::7")}
		}
		got, most := len(mustIssue(t, ca, want, now).Bundle()), want.BundleBytes(name)
		closest, farthest = min(closest, most-got), max(farthest, most-got)
	}
	if closest < 0 || farthest > 64 {
		t.Errorf("it takes %d to %d bytes less than is expected", closest, farthest)
	}
}
