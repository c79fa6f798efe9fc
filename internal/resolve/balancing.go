package resolve

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	defaultTolerance = 10
	maxMoving        = 50
	maxBalanceRate   = 1_000_000_000_000
)

var topicOrPrefix = regexp.MustCompile(`^[a-zA-Z0-9._-]*\*?$`)

var weekdays = map[v1alpha1.Weekday]time.Weekday{
	"Sunday": time.Sunday, "Monday": time.Monday, "Tuesday": time.Tuesday, "Wednesday": time.Wednesday,
	"Thursday": time.Thursday, "Friday": time.Friday, "Saturday": time.Saturday,
}

// validateBalancing refuses what the CRD refuses, too, for a spec that passed it in a former version.
func validateBalancing(b *v1alpha1.Balancing) verdict.List {
	var faults verdict.List
	if b == nil {
		return nil
	}
	switch b.Mode {
	case "", v1alpha1.BalancingOff, v1alpha1.BalancingOnScale, v1alpha1.BalancingContinuous:
	default:
		faults.Refuse("spec.balancing.mode", "use Off, OnScale or Continuous")
	}
	switch b.Approval {
	case "", v1alpha1.ApprovalAutomatic, v1alpha1.ApprovalManual:
	default:
		faults.Refuse("spec.balancing.approval", "use Automatic or Manual")
	}
	if t := b.TolerancePercent; t != nil && (*t < 0 || *t > 100) {
		faults.Refuse("spec.balancing.tolerancePercent", "it is 0 to 100")
	}
	if r := b.BytesPerSecondPerBroker; r != nil && (*r < 1 || *r > maxBalanceRate) {
		faults.Refuse("spec.balancing.bytesPerSecondPerBroker",
			"it is 1 to %d, as nothing would arrive at 0; for no limit of the cluster's own remove it", maxBalanceRate)
	}
	if m := b.MaxMoving; m != nil && (*m < 1 || *m > maxMoving) {
		faults.Refuse("spec.balancing.maxMoving", "it is 1 to %d; to move nothing set spec.balancing.mode to Off", maxMoving)
	}
	for i, w := range b.Windows {
		if _, err := windowOf(w); err != nil {
			faults.Refuse(fmt.Sprintf("spec.balancing.windows[%d]", i), "%s", err.Error())
		}
	}
	for i, topic := range b.ExcludeTopics {
		if topic == "" || !topicOrPrefix.MatchString(topic) {
			faults.Refuse(fmt.Sprintf("spec.balancing.excludeTopics[%d]", i),
				"%q is neither the name of a topic nor a prefix that ends in *", topic)
		}
	}
	return faults
}

func windowOf(w v1alpha1.BalancingWindow) (model.Window, error) {
	var window model.Window
	for _, day := range w.Days {
		weekday, known := weekdays[day]
		if !known {
			return window, fmt.Errorf("%q is no day; use Monday to Sunday", day)
		}
		window.Days = append(window.Days, weekday)
	}
	for text, moment := range map[string]*time.Duration{w.From: &window.From, w.To: &window.To} {
		at, err := time.Parse("15:04", text)
		if err != nil {
			return window, fmt.Errorf("%q is no time of day; write one such as 22:00", text)
		}
		*moment = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if w.From == w.To {
		return window, fmt.Errorf("it begins and ends at %s; for always remove the windows", w.From)
	}
	return window, nil
}

// resolveBalancing fills in what the spec leaves out, if need be all of it. A window that makes no sense is never open.
func resolveBalancing(cluster *v1alpha1.KafkaCluster, b *v1alpha1.Balancing) model.Balancing {
	resolved := model.Balancing{
		Mode: v1alpha1.BalancingOnScale, Tolerance: defaultTolerance, MaxMoving: maxMoving,
		Approved: cluster.Annotations[v1alpha1.AnnotationApproveBalance], Record: cluster.Status.Balancing,
	}
	if b == nil {
		return resolved
	}
	resolved.Mode = cmp.Or(b.Mode, resolved.Mode)
	resolved.Manual, resolved.Exclude = b.Approval == v1alpha1.ApprovalManual, b.ExcludeTopics
	if b.TolerancePercent != nil {
		resolved.Tolerance = int(*b.TolerancePercent)
	}
	if b.MaxMoving != nil {
		resolved.MaxMoving = int(*b.MaxMoving)
	}
	if b.BytesPerSecondPerBroker != nil {
		resolved.Rate = *b.BytesPerSecondPerBroker
	}
	for _, w := range b.Windows {
		if window, err := windowOf(w); err == nil {
			resolved.Windows = append(resolved.Windows, window)
		} else {
			resolved.Windows = append(resolved.Windows, model.Window{Days: []time.Weekday{-1}, To: 1})
		}
	}
	return resolved
}
