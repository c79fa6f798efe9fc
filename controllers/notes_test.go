package controllers

import (
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/client-go/tools/events"
)

// The API server refuses a longer note, and the event is lost.
func TestAnEventIsAsShortAsKubernetesTakesIt(t *testing.T) {
	for name, text := range map[string]string{
		"short": "broker 1: no answer", "as long as may be": strings.Repeat("x", maxNote),
		"longer": strings.Repeat("broker 1: no answer, ", 100), "with letters of several bytes": strings.Repeat("éxé", 500),
		"with a percent sign": "CN=%d",
	} {
		t.Run(name, func(t *testing.T) {
			fake := events.NewFakeRecorder(1)
			shortNotes{fake}.Eventf(nil, nil, "Normal", "Reason", "Action", "%s", text)
			got := strings.TrimPrefix(<-fake.Events, "Normal Reason ")
			switch {
			case len(text) <= maxNote && got != text:
				t.Errorf("%q has become %q", text, got)
			case len(got) > maxNote || !utf8.ValidString(got) || len(got) < maxNote-4 && len(text) > maxNote:
				t.Errorf("%d bytes, valid %t", len(got), utf8.ValidString(got))
			case len(text) > maxNote && !strings.HasSuffix(got, "..."):
				t.Errorf("nothing says that there is more: %q", got[len(got)-20:])
			}
		})
	}
}
