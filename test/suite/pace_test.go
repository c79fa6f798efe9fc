package suite

import (
	"testing"
	"time"
)

const quiet = 10 * time.Second

func TestTimeOutsGrowWithTheMachineAndNeverShrink(t *testing.T) {
	for name, c := range map[string]struct{ start, want time.Duration }{
		"as on a quiet machine":   {quiet, time.Minute},
		"a faster machine":        {quiet / 3, time.Minute},
		"a machine half as fast":  {2 * quiet, 2 * time.Minute},
		"a machine that stands":   {100 * quiet, mostPatience * time.Minute},
		"before it was looked at": {0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := PaceOf(c.start, quiet).Of(time.Minute); got != c.want {
				t.Errorf("a minute became %s, expected %s", got, c.want)
			}
		})
	}
}
