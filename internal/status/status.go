// Package status sets the conditions of kstatus on any object: Ready, Reconciling and Stalled, of which at most one of
// the latter two stands beside Ready. It is pure: the clock is an argument, so that what is equal compares as equal and
// nothing is written for it.
package status

import (
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// maxMessage keeps what Kafka says in a status at a length that people read; the API would take 32768 bytes.
const maxMessage = 2048

// NameFrom names an object as one says it to another: with its namespace where that is not the other's too.
func NameFrom(other, o metav1.Object) string {
	if o.GetNamespace() == other.GetNamespace() {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// Ready says that this generation is fully in force.
func Ready(conds *[]metav1.Condition, gen int64, reason, message string, now time.Time) {
	meta.RemoveStatusCondition(conds, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(conds, v1alpha1.ConditionStalled)
	Set(conds, v1alpha1.ConditionReady, metav1.ConditionTrue, gen, reason, message, now)
}

// Reconciling says what is being done or waited for.
func Reconciling(conds *[]metav1.Condition, gen int64, reason, message string, now time.Time) {
	meta.RemoveStatusCondition(conds, v1alpha1.ConditionStalled)
	Set(conds, v1alpha1.ConditionReady, metav1.ConditionFalse, gen, reason, message, now)
	Set(conds, v1alpha1.ConditionReconciling, metav1.ConditionTrue, gen, reason, message, now)
}

// Stalled says why the spec cannot be carried out until it is changed; the message names the field and the cure.
func Stalled(conds *[]metav1.Condition, gen int64, reason, message string, now time.Time) {
	meta.RemoveStatusCondition(conds, v1alpha1.ConditionReconciling)
	Set(conds, v1alpha1.ConditionReady, metav1.ConditionFalse, gen, reason, message, now)
	Set(conds, v1alpha1.ConditionStalled, metav1.ConditionTrue, gen, reason, message, now)
}

// Set sets one condition. Its transition time changes only with its status; now is cut to the second, as the API keeps
// it.
func Set(
	conds *[]metav1.Condition,
	conditionType string,
	value metav1.ConditionStatus,
	gen int64,
	reason, message string,
	now time.Time,
) {
	meta.SetStatusCondition(conds, metav1.Condition{
		Type:               conditionType,
		Status:             value,
		ObservedGeneration: gen,
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		Reason:             reason,
		Message:            shorten(message),
	})
}

// IsReady tells whether Ready stands for this generation.
func IsReady(conds []metav1.Condition, gen int64) bool {
	c := meta.FindStatusCondition(conds, v1alpha1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == gen
}

func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return Prefix(message, maxMessage) + "..."
}

// Prefix is what of a longer text fits into some bytes, in whole characters.
func Prefix(text string, bytes int) string {
	for bytes > 0 && !utf8.RuneStart(text[bytes]) {
		bytes--
	}
	return text[:bytes]
}
