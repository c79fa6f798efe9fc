package balance

import "testing"

// held adds a partition that is not to be touched.
func (s *story) held(name string, bytes int64, broker int32) *story {
	ids := []int32{broker}
	return s.partition(Partition{Topic: name, Bytes: bytes, Replicas: ids, ISR: ids, Leader: broker, Fixed: true})
}

// A copy of 100 that brings both brokers together 8 nearer to their shares of 100 would come back with the next change
// of sizes. One that brings 16 is made.
func TestNothingIsCopiedForNextToNothing(t *testing.T) {
	for over, want := range map[int64]int{52: 0, 54: 1} {
		s := tell().broker(1, "", 1000).broker(2, "", 1000).
			topic("a", 100, []int32{1}).held("b", over, 1).held("c", 100-over, 2)
		s.o.Leaders = false
		if p := New(s.c, s.o); len(p.Moves) != want {
			t.Errorf("%d over its share: %v, want %d moves", over, p.Moves, want)
		}
	}
}

// Broker 2 lacks most bytes, and has more replicas than its share: what broker 1 gives goes to broker 3 first.
func TestBytesGoWhereReplicasAreFewToo(t *testing.T) {
	s := tell().broker(1, "", 1000).broker(2, "", 1000).broker(3, "", 1000).
		topic("a", 100, around(3, 1, 1)...).topic("b", 1, around(20, 1, 2)...).topic("c", 21, []int32{3})
	p := New(s.c, s.o)
	if len(p.Moves) == 0 || p.Moves[0].Reason != Bytes || p.Moves[0].After[0] != 3 {
		t.Errorf("%v", p.Moves)
	}
}

// Broker 1 has too many replicas, also once the smallest has moved. All others that may move are larger than the mean.
func TestNothingLargeIsCopiedForTheNumberOfReplicas(t *testing.T) {
	s := tell().broker(1, "", 1000).broker(2, "", 1000).topic("a", 100, []int32{1}, []int32{1}).
		held("c", 100, 2).held("d", 100, 2)
	for _, name := range []string{"k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u"} {
		s.held(name, 1, 1)
	}
	s.topic("z", 1, []int32{1})
	s.o.Tolerance, s.o.Leaders = 60, false
	if p := New(s.c, s.o); len(p.Moves) != 1 || p.Moves[0].Topic != "z" || p.Moves[0].Reason != Replicas {
		t.Errorf("%v", p.Moves)
	}
}
