package verdict

import (
	"errors"
	"testing"
	"time"
)

func TestASentenceIsTakenApartAndPutTogether(t *testing.T) {
	for _, c := range []struct{ field, sentence, cause, cure, text string }{
		{"spec.size", "a disk cannot shrink; set it back to 1Gi", "a disk cannot shrink", "set it back to 1Gi",
			"spec.size: a disk cannot shrink; set it back to 1Gi"},
		{"spec.version", "no; it is old; use 4.3.1", "no; it is old", "use 4.3.1", "spec.version: no; it is old; use 4.3.1"},
		{"", "use Simple or None", "use Simple or None", "", "use Simple or None"},
	} {
		v := Stalled(ReasonInvalid, c.field, "%s", c.sentence)
		if v.Cause != c.cause || v.Cure != c.cure || v.Text() != c.text || v.Passes() {
			t.Errorf("%+v, want %+v", v, c)
		}
	}
}

func TestTheGravestIsWhatSomebodyHasToCure(t *testing.T) {
	waits := Waiting("Moving", "", time.Second, time.Minute, "waiting for a broker")
	fails := Retry(errors.New("connection reset"), time.Second, time.Minute)
	stalls := Stalled(ReasonInvalid, "spec.a", "no; change it")
	if got := Gravest([]Verdict{waits, fails, stalls}); got == nil || got.Reason != ReasonInvalid {
		t.Errorf("%+v", got)
	}
	if got := Gravest([]Verdict{fails, waits}); got == nil || got.Reason != ReasonRetrying || got.AtMost != time.Minute {
		t.Errorf("%+v", got)
	}
	if got := Gravest(nil); got != nil {
		t.Errorf("%+v", got)
	}
	if got := Texts([]Verdict{waits, stalls}); got != "waiting for a broker; spec.a: no; change it" {
		t.Error(got)
	}
}
