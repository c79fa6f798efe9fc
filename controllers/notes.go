package controllers

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/castellan-dev/castellan/internal/status"
)

// maxNote is how many bytes the text of an event may have. The API server refuses a longer one, and the client drops
// the event.
const maxNote = 1024

// shortNotes cuts the texts of events, some of which have what others say or name every broker.
type shortNotes struct{ events.EventRecorder }

// Eventf records an event.
func (s shortNotes) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	const more = "..."
	text := fmt.Sprintf(note, args...)
	if len(text) > maxNote {
		text = status.Prefix(text, maxNote-len(more)) + more
	}
	s.EventRecorder.Eventf(regarding, related, kind, reason, action, "%s", text)
}
