package suite

import (
	"testing"
	"time"
)

func TestTimeOutsGrowWithTheMachineAndNeverShrink(t *testing.T) {
	for name, c := range map[string]struct{ start, want time.Duration }{
		"as on a quiet machine":   {QuietStart, time.Minute},
		"a faster machine":        {QuietStart / 3, time.Minute},
		"a machine half as fast":  {2 * QuietStart, 2 * time.Minute},
		"a machine that stands":   {100 * QuietStart, mostPatience * time.Minute},
		"before it was looked at": {0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := PaceOf(c.start).Of(time.Minute); got != c.want {
				t.Errorf("a minute became %s, expected %s", got, c.want)
			}
		})
	}
}
