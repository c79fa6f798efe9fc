package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// repeated are fields of a status that hold what a spec says, by kind. A status that did not take such a value could
// not be written: the object would stay as it is and nobody would be told why.
var repeated = map[string]map[string][]string{
	"KafkaCluster": {
		"status.authorization.type":             {"spec.authorization.type"},
		"status.defaults.authorization":         {"spec.authorization.type"},
		"status.defaultQuotas.keys[]":           nil, // the names of the fields below
		"status.external.lacking[]":             nil,
		"status.listeners":                      {"spec.listeners"},
		"status.listeners[].addresses[].host":   {"spec.listeners[].exposure.advertised.overrides[].host"},
		"status.listeners[].addresses[].nodeId": {"spec.listeners[].exposure.advertised.overrides[].nodeId", "spec.pools[].firstNodeId"},
		"status.listeners[].addresses[].port":   {"spec.listeners[].exposure.advertised.overrides[].port", "spec.listeners[].port"},
		"status.listeners[].mechanisms":         {"spec.listeners[].authentication.mechanisms"},
		"status.listeners[].mechanisms[]":       {"spec.listeners[].authentication.mechanisms[]"},
		"status.listeners[].name":               {"spec.listeners[].name"},
		"status.listeners[].nodePorts{}":        {"spec.listeners[].exposure.bootstrap.nodePort"},
		"status.listeners[].port":               {"spec.listeners[].port"},
		"status.listeners[].type":               {"spec.listeners[].exposure.type"},
		"status.nodes[].disks[].capacity":       {"spec.pools[].storage.volumes[].size"},
		"status.nodes[].disks[].requested":      {"spec.pools[].storage.volumes[].size"},
		"status.nodes[].id":                     {"spec.pools[].firstNodeId"},
		"status.nodes[].pool":                   {"spec.pools[].name"},
		"status.nodes[].roles":                  {"spec.pools[].roles"},
		"status.nodes[].roles[]":                {"spec.pools[].roles[]"},
		"status.pools":                          {"spec.pools"},
		"status.pools[].firstNodeId":            {"spec.pools[].firstNodeId"},
		"status.pools[].name":                   {"spec.pools[].name"},
		"status.version":                        {"spec.version"},
	},
	"KafkaTopic": {
		"status.deletionPolicy":    {"spec.deletionPolicy"},
		"status.name":              {"spec.name"},
		"status.partitions":        {"spec.partitions"},
		"status.replicationFactor": {"spec.replicationFactor"},
	},
	"KafkaUser": {
		"status.credentials.mechanisms":             {"spec.authentication.mechanisms"},
		"status.credentials.mechanisms[].mechanism": {"spec.authentication.mechanisms[]"},
		"status.deletionPolicy":                     {"spec.deletionPolicy"},
		"status.name":                               {"spec.name"},
	},
}

// own are fields of a status with words or bounds that are the operator's own, and the words that it has.
var own = map[string]map[string][]string{
	"KafkaCluster": {
		"status.balancing.inFlight":                nil, // moves.MaxMoving
		"status.balancing.spread":                  nil,
		"status.balancing.spreadVolumes":           nil, // TestVolumesFitTheirRecord
		"status.balancing.spreadVolumes[]":         nil, // TestVolumesFitTheirRecord
		"status.cordoned":                          nil,
		"status.defaultQuotas.keys":                nil, // TestDefaultQuotasFitTheirRecord
		"status.external.lacking":                  nil,
		"status.initialVoters":                     nil,
		"status.listeners[].addresses":             nil,
		"status.listeners[].lackedBy":              nil,
		"status.listeners[].loadBalancerAddresses": nil,
		"status.listeners[].reachableFromInside":   {"True", "False", "Unknown"},
		"status.nodes":                             nil,
		"status.remainingACLs.users":               nil, // v1alpha1.MaxRemainingACLs, beyond which a user waits
	},
	"KafkaTopic": {
		"status.configKeys": nil,
		"status.health": {string(v1alpha1.HealthHealthy), string(v1alpha1.HealthUnderReplicated),
			string(v1alpha1.HealthOffline)},
		"status.notCreated": {string(v1alpha1.NotCreatedLost), string(v1alpha1.NotCreatedRefused),
			string(v1alpha1.NotCreatedOverQuota)},
		"status.reassignment.inFlight": nil,
	},
	"KafkaUser": {
		"status.acls":                  nil, // users.ListedACLs cuts it
		"status.credentials.acls":      {string(v1alpha1.ACLsNone), string(v1alpha1.ACLsAdded)},
		"status.credentials.addedACLs": nil, // TestAllThatTwoSpecsCanAddFitsItsRecord in internal/users
		"status.credentials.provenOn":  nil,
	},
}

// nodes are all schemas below one, itself included: lists with [] for their items, maps with {}.
func nodes(path string, s props) map[string]props {
	all := map[string]props{path: s}
	if s.Items != nil {
		maps.Copy(all, nodes(path+"[]", *s.Items.Schema))
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		maps.Copy(all, nodes(path+"{}", *s.AdditionalProperties.Schema))
	}
	for name, child := range s.Properties {
		maps.Copy(all, nodes(path+"."+name, child))
	}
	return all
}

// refuses says what values a schema does not take; empty = it takes every one of its type.
func refuses(s props) (all []string) {
	for what, is := range map[string]bool{
		"enum": len(s.Enum) > 0, "pattern": s.Pattern != "", "maxLength": s.MaxLength != nil, "minLength": s.MinLength != nil,
		"maximum": s.Maximum != nil, "minimum": s.Minimum != nil, "maxItems": s.MaxItems != nil, "minItems": s.MinItems != nil,
		"maxProperties": s.MaxProperties != nil, "rules": len(s.XValidations) > 0,
		"uniqueness": s.XListType != nil && *s.XListType != "atomic",
	} {
		if is {
			all = append(all, what)
		}
	}
	slices.Sort(all)
	return all
}

func values(s props) (all []string) {
	for _, v := range s.Enum {
		text := ""
		if err := json.Unmarshal(v.Raw, &text); err != nil {
			text = string(v.Raw)
		}
		all = append(all, text)
	}
	return all
}

// misses says which values of one schema another one does not take; empty = it takes all of them.
func misses(takes, from props) (all []string) {
	miss := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if takes.Type != from.Type {
		miss("a %s is no %s", from.Type, takes.Type)
	}
	if takes.Format == "int32" && from.Format != "int32" {
		miss("it has no room for numbers of format %q", from.Format)
	}
	if words := values(takes); len(words) > 0 {
		if len(from.Enum) == 0 {
			miss("it takes %q alone", words)
		}
		for _, word := range values(from) {
			if !slices.Contains(words, word) {
				miss("it does not take %q", word)
			}
		}
	}
	if takes.Pattern != "" && takes.Pattern != from.Pattern {
		miss("its pattern is %q and not %q", takes.Pattern, from.Pattern)
	}
	if len(takes.XValidations) > 0 {
		miss("it has rules of its own")
	}
	less := func(what string, bound, other *int64, below int64) {
		if bound != nil && (other == nil || below*(*bound-*other) < 0) {
			miss("%s is %d", what, *bound)
		}
	}
	whole := func(v *float64) *int64 {
		if v == nil {
			return nil
		}
		n := int64(*v)
		return &n
	}
	less("maxLength", takes.MaxLength, from.MaxLength, 1)
	less("minLength", takes.MinLength, from.MinLength, -1)
	less("maximum", whole(takes.Maximum), whole(from.Maximum), 1)
	less("minimum", whole(takes.Minimum), whole(from.Minimum), -1)
	less("maxItems", takes.MaxItems, from.MaxItems, 1)
	less("minItems", takes.MinItems, from.MinItems, -1)
	less("maxProperties", takes.MaxProperties, from.MaxProperties, 1)
	if unique(takes) && !unique(from) {
		miss("it takes nothing twice")
	}
	return all
}

func unique(s apiextensionsv1.JSONSchemaProps) bool {
	return s.XListType != nil && *s.XListType != "atomic"
}

func TestAStatusTakesWhateverItsSpecTakes(t *testing.T) {
	for kind, schema := range schemas(t) {
		spec, status := nodes("spec", schema.Properties["spec"]), nodes("status", schema.Properties["status"])
		for path, of := range repeated[kind] {
			if _, exists := status[path]; !exists {
				t.Errorf("%s has no field %s", kind, path)
			}
			for _, from := range of {
				field, exists := spec[from]
				if !exists {
					t.Errorf("%s has no field %s", kind, from)
					continue
				}
				for _, miss := range misses(status[path], field) {
					t.Errorf("%s: %s holds what %s says, and %s", kind, path, from, miss)
				}
			}
		}
		for path, words := range own[kind] {
			field, exists := status[path]
			if !exists || len(refuses(field)) == 0 {
				t.Errorf("%s: nothing bounds %s, which stands in the table", kind, path)
			}
			if got := values(field); fmt.Sprint(slices.Sorted(slices.Values(got))) !=
				fmt.Sprint(slices.Sorted(slices.Values(words))) {
				t.Errorf("%s: %s takes %q, and the operator has %q", kind, path, got, words)
			}
		}
		for path, field := range status {
			_, isRepeated := repeated[kind][path]
			_, isOwn := own[kind][path]
			bounds := refuses(field)
			if strings.HasPrefix(path, "status.conditions") || isRepeated || isOwn || len(bounds) == 0 {
				continue
			}
			t.Errorf("%s: %s has %s; say in the tables of this test which field of the spec it repeats, or what the operator "+
				"writes there", kind, path, strings.Join(bounds, " and "))
		}
	}
}

// Kafka's quotas of a user are as many as the fields of spec.defaultQuotas, and each has its name on record.
func TestDefaultQuotasFitTheirRecord(t *testing.T) {
	cluster := schemas(t)["KafkaCluster"]
	keys := nodes("status", cluster.Properties["status"])["status.defaultQuotas.keys"]
	quotas := nodes("spec", cluster.Properties["spec"])["spec.defaultQuotas"].Properties
	if keys.MaxItems == nil || int(*keys.MaxItems) < 2*len(quotas) { // those that go stand beside those that come
		t.Errorf("room for %v names of %d quotas", keys.MaxItems, len(quotas))
	}
}

// Every volume of every pool has its name on record, as pool/volume, once it has got its share.
func TestVolumesFitTheirRecord(t *testing.T) {
	cluster := schemas(t)["KafkaCluster"]
	spec := nodes("spec", cluster.Properties["spec"])
	pools, volumes := spec["spec.pools"], spec["spec.pools[].storage.volumes"]
	pool, volume := spec["spec.pools[].name"], spec["spec.pools[].storage.volumes[].name"]
	for what, bound := range map[string]*int64{"number of pools": pools.MaxItems, "number of volumes": volumes.MaxItems,
		"length of a pool's name": pool.MaxLength, "length of a volume's name": volume.MaxLength} {
		if bound == nil {
			t.Fatalf("nothing bounds the %s", what)
		}
	}
	status := nodes("status", cluster.Properties["status"])
	record, name := status["status.balancing.spreadVolumes"], status["status.balancing.spreadVolumes[]"]
	if all := *pools.MaxItems * *volumes.MaxItems; record.MaxItems == nil || *record.MaxItems < all {
		t.Errorf("the record has not room for the names of %d volumes", all)
	}
	if longest := *pool.MaxLength + 1 + *volume.MaxLength; name.MaxLength == nil || *name.MaxLength < longest {
		t.Errorf("the record does not take a name of %d characters", longest)
	}
}

// The lists of values differ by what the test looks for, so that it can fail.
func TestMissesSeesWhatAStatusDoesNotTake(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	set := "set"
	enum := func(words ...string) (s props) {
		s.Type = "string"
		for _, w := range words {
			s.Enum = append(s.Enum, apiextensionsv1.JSON{Raw: []byte(`"` + w + `"`)})
		}
		return s
	}
	float := func(n float64) *float64 { return &n }
	for name, c := range map[string]struct {
		takes, from props
		want        int
	}{
		"the same words":               {enum("A", "B"), enum("B", "A"), 0},
		"any word":                     {props{Type: "string"}, enum("A"), 0},
		"a word less":                  {enum("A"), enum("A", "B"), 1},
		"words in place of any text":   {enum("A"), props{Type: "string"}, 1},
		"another pattern":              {props{Type: "string", Pattern: "^a$"}, props{Type: "string", Pattern: "^b$"}, 1},
		"a shorter text":               {props{Type: "string", MaxLength: number(3)}, props{Type: "string", MaxLength: number(4)}, 1},
		"a longer text":                {props{Type: "string", MaxLength: number(5)}, props{Type: "string", MaxLength: number(4)}, 0},
		"a bound where there was none": {props{Type: "string", MaxLength: number(5)}, props{Type: "string"}, 1},
		"a greater minimum":            {props{Type: "integer", Minimum: float(1)}, props{Type: "integer", Minimum: float(0)}, 1},
		"a smaller minimum":            {props{Type: "integer", Minimum: float(0)}, props{Type: "integer", Minimum: float(1)}, 0},
		"fewer items":                  {props{Type: "array", MaxItems: number(1)}, props{Type: "array", MaxItems: number(2)}, 1},
		"nothing twice":                {props{Type: "array", XListType: &set}, props{Type: "array"}, 1},
		"smaller numbers":              {props{Type: "integer", Format: "int32"}, props{Type: "integer", Format: "int64"}, 1},
		"another type":                 {props{Type: "string"}, props{Type: "integer"}, 1},
		"a rule": {props{Type: "string", XValidations: apiextensionsv1.ValidationRules{{Rule: "true"}}},
			props{Type: "string"}, 1},
	} {
		if got := misses(c.takes, c.from); len(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
