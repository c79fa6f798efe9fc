package suite

import (
	"fmt"
	"time"
)

// QuietStart is how long one broker takes from apply to Ready on two quiet cores, with something to spare.
const QuietStart = 10 * time.Second

// Pace is how slow this machine is today. Time-outs are written for a quiet machine of two cores and grow with it.
type Pace struct{ factor float64 }

// mostPatience bounds the factor: a case that hangs has to end while there is still time to say which one it was.
const mostPatience = 6

// PaceOf judges the machine by the time that one broker took from apply to Ready.
func PaceOf(start time.Duration) Pace {
	return Pace{min(float64(start)/float64(QuietStart), mostPatience)}
}

// Of is a time-out on this machine, never shorter than on a quiet one.
func (p Pace) Of(quiet time.Duration) time.Duration {
	if p.factor <= 1 {
		return quiet
	}
	return time.Duration(float64(quiet) * p.factor)
}

func (p Pace) String() string { return fmt.Sprintf("%.1f", max(1, p.factor)) }
