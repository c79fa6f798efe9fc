package version

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTheGuideToUpgradesListsTheCatalogue(t *testing.T) {
	page, err := os.ReadFile("../../docs/upgrades.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Catalogue {
		streams := "none"
		if highest := v.features["streams.version"].highest; highest > 0 {
			streams = fmt.Sprint(highest)
		}
		row := fmt.Sprintf("| %s | %s | %s |", v.Kafka, v.MetadataName(v.features[MetadataVersion].highest), streams)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/upgrades.md lacks the row %s", row)
		}
	}
}
