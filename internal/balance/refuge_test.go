package balance

import "testing"

// Broker 1 leaves, and the other broker of its rack is full. The rack of the other replica has room, and would have both.
func TestWhatLeavesWaitsForRoomInARackOfItsOwn(t *testing.T) {
	s := tell().broker(1, "a", 10*gib, leaving).broker(2, "b", 10*gib).broker(3, "a", 10*gib).broker(4, "b", 10*gib).
		topic("full", 8*gib, []int32{3}).topic("orders", gib, []int32{1, 2})
	s.o.Spread, s.o.Leaders = false, false
	p := New(s.c, s.o)
	if len(p.Moves) > 0 {
		t.Errorf("it moves: %v", p.Moves)
	}
	if len(p.Stuck) != 1 || p.Stuck[0].Cause != NoRoom || p.Stuck[0].Broker != 1 || p.Stuck[0].Lacking != gib {
		t.Errorf("stuck is %+v", p.Stuck)
	}
}
