package claim

import (
	"strings"
	"testing"
)

func TestWhoLooksAfterAnObject(t *testing.T) {
	ours := Installation{Name: "kafka/castellan", Succeeds: []string{"old/castellan"}}
	for recorded, want := range map[string]Tenure{
		"kafka/castellan": TenureOurs, "": TenureVacant, "old/castellan": TenureVacant,
		"other/castellan": TenureOther, "castellan": TenureOther, "kafka/castellan2": TenureOther, "kafka/": TenureOther,
	} {
		if got := ours.Of(recorded); got != want {
			t.Errorf("%q: %d, expected %d", recorded, got, want)
		}
		if got := (Installation{}).Of(recorded); got != TenureOurs {
			t.Errorf("an operator without a name takes %q for another's (%d)", recorded, got)
		}
	}
}

func TestWhatAnotherInstallationLooksAfterNamesTheCure(t *testing.T) {
	text := Installation{Name: "kafka/castellan"}.Other("KafkaTopic", "orders", "old/castellan").Text()
	for _, want := range []string{"status.operator: ", `"orders"`, `"old/castellan"`, `"kafka/castellan"`,
		"start the former again", "--succeeds=old/castellan", "succeeds={old/castellan}"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %s: %s", want, text)
		}
	}
}
