package suite

import (
	"fmt"
	"time"
)

// Pace is how slow this machine is today. Time-outs are written for a quiet machine of two cores and grow with it.
type Pace struct{ factor float64 }

// mostPatience bounds the factor: a case that hangs has to end while there is still time to say which one it was.
const mostPatience = 6

// PaceOf judges the machine by how long a start took, beside how long it takes on two quiet cores.
func PaceOf(took, quiet time.Duration) Pace {
	return Pace{min(float64(took)/float64(quiet), mostPatience)}
}

// Of is a time-out on this machine, never shorter than on a quiet one.
func (p Pace) Of(quiet time.Duration) time.Duration {
	if p.factor <= 1 {
		return quiet
	}
	return time.Duration(float64(quiet) * p.factor)
}

func (p Pace) String() string { return fmt.Sprintf("%.1f", max(1, p.factor)) }
