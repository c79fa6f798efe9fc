package claim

import (
	"slices"
	"strings"
	"testing"
)

func TestWhoIsTooMany(t *testing.T) {
	two := int32(2)
	none := int32(0)
	for name, c := range map[string]struct {
		max     *int32
		objects []*thing
		over    string
	}{
		"nobody without a limit": {nil, []*thing{object("guest a", 1, false)}, ""},
		"the youngest":           {&two, []*thing{object("guest c", 1, false), object("guest b", 2, false), object("guest a", 3, false)}, "guest c"},
		"nobody who has it": {&two, []*thing{object("guest recorded c", 1, false), object("guest b", 3, false),
			object("guest a", 2, false)}, "guest a"},
		"also where more have it than may": {&none, []*thing{object("guest recorded", 1, false), object("guest b", 2, false)}, "guest b"},
		"nobody of the cluster's own":      {&none, []*thing{object("a", 1, false)}, ""},
		"nobody who goes":                  {&none, []*thing{object("guest a", 1, true)}, ""},
		"nobody who does not count":        {&none, []*thing{object("guest observing", 1, false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			limit := Limit[*thing]{Max: c.max, Field: "spec.access.limits.x",
				Counts: func(o *thing) bool { return !strings.Contains(o.Name, "observing") }}
			over := Over(c.objects, func(o *thing) bool { return o.Namespace == "home" },
				func(o *thing) bool { return strings.Contains(o.Name, "recorded") }, limit)
			var got []string
			for uid, v := range over {
				got = append(got, string(uid))
				if v.After == 0 || v.Passes() || !strings.Contains(v.Cure, "spec.access.limits.x") {
					t.Errorf("%+v", v)
				}
			}
			if slices.Sort(got); strings.Join(got, " ") != c.over {
				t.Errorf("too many are %q, expected %q", got, c.over)
			}
		})
	}
}
