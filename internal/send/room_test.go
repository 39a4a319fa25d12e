package send

import "testing"

func granted(c *claim) bool {
	select {
	case <-c.granted:
		return true
	default:
		return false
	}
}

func TestRoomIsGivenInTheOrderOfAsking(t *testing.T) {
	r := room{free: 100, size: 100}
	if !r.take(90) || r.take(20) {
		t.Fatal("90 of 100 fit, and then 20 do not")
	}
	big := r.lineUp(80)
	if r.take(5) {
		t.Error("a small one overtook a large one that waits")
	}
	small := r.lineUp(5)
	r.give(40)
	if granted(big) || granted(small) {
		t.Error("nothing fits in front, so nothing goes")
	}
	r.give(50)
	if !granted(big) || !granted(small) || r.free != 15 {
		t.Errorf("both fit now: %v %v, %d free", granted(big), granted(small), r.free)
	}
}

func TestRoomLargerThanAllIsTakenAlone(t *testing.T) {
	r := room{free: 100, size: 100}
	if !r.take(500) || r.take(1) {
		t.Fatal("alone")
	}
	c := r.lineUp(300)
	r.give(500)
	if !granted(c) || r.free != -200 {
		t.Errorf("%v, %d free", granted(c), r.free)
	}
	r.give(300)
	if r.free != 100 {
		t.Errorf("%d free", r.free)
	}
}

func TestLeavingTheQueueLosesNoRoom(t *testing.T) {
	r := room{free: 10, size: 100}
	first, second := r.lineUp(50), r.lineUp(10)
	r.leave(first) // gives up: the second fits
	if !granted(second) || r.free != 0 {
		t.Errorf("%v, %d free", granted(second), r.free)
	}
	third := r.lineUp(20)
	r.give(20)
	r.leave(third) // granted at the moment in which it gave up
	if r.free != 20 {
		t.Errorf("%d free", r.free)
	}
	fourth := r.lineUp(90)
	r.dismiss()
	if !granted(fourth) || !fourth.void {
		t.Error("a dismissed claim waits on")
	}
	r.leave(fourth)
	if r.free != 20 || len(r.queue) != 0 {
		t.Errorf("%d free", r.free)
	}
}
