package users

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
)

// clusterResource is the one name that Kafka knows for the resource Cluster.
const clusterResource = "kafka-cluster"

// Desired is what one principal should have. With nothing but a name it is a user that should have nothing.
type Desired struct {
	Name       string
	Mechanisms []v1alpha1.Mechanism
	Password   string
	ACLs       []kafka.ACL
	KeepACLs   bool // those that Kafka has stay, because those of the spec cannot all be carried out
	// Stake says which of those that Kafka has may be taken away; nil = all.
	Stake  *Stake
	Quotas map[string]float64
	// Recorded are the credentials on record, when they were made from this Password in this cluster; else nil.
	Recorded *v1alpha1.Credentials
}

// Live is what Kafka has.
type Live struct {
	Scram  map[string][]kafka.ScramCredential
	ACLs   []kafka.ACL
	Quotas map[string]map[string]float64
	// Retained are users with lines in the file of PLAIN users that no object stands for any more.
	Retained map[string]bool
}

// Changes is all that is to be sent, at most one request per kind; ACLs in the requests of ACLSteps.
type Changes struct {
	Upserts    []kafka.ScramUpsert
	Deletions  []kafka.ScramDeletion
	CreateACLs []kafka.ACL
	DeleteACLs []kafka.ACL
	Quotas     map[string]map[string]*float64
	// whole are the principals that lose all ACLs that Kafka has of them.
	whole map[string]bool
}

// maxWhole bounds how many ACLs of a principal go by one filter: Kafka makes 10,000 changes at once at most.
const maxWhole = 5000

// Plan compares what is desired with what is live. Principals that are not desired are somebody else's and left alone.
// Equal input gives no changes.
func Plan(desired []Desired, live Live) Changes {
	changes := Changes{Quotas: map[string]map[string]*float64{}, whole: map[string]bool{}}
	acls := live.ACLsBy()
	for _, d := range desired {
		changes.scram(d, live.Scram[d.Name])
		changes.acls(d, acls[Principal(d.Name)])
		changes.quotas(d, live.Quotas[d.Name])
	}
	return changes
}

// ACLsBy sorts the ACLs by principal.
func (l Live) ACLsBy() map[string][]kafka.ACL {
	acls := map[string][]kafka.ACL{}
	for _, a := range l.ACLs {
		acls[a.Principal] = append(acls[a.Principal], a)
	}
	return acls
}

// Principal is how ACLs name a user.
func Principal(name string) string { return "User:" + name }

// scram never writes a credential that stands. Whether it was made from the right password, the record tells.
func (c *Changes) scram(d Desired, live []kafka.ScramCredential) {
	stored := map[string]int32{}
	for _, credential := range live {
		stored[credential.Mechanism] = credential.Iterations
	}
	for _, m := range d.Mechanisms {
		name := string(m)
		iterations, exists := stored[name]
		delete(stored, name)
		row, known := mechanism.Of(m)
		if !known || row.Store != mechanism.ScramCredentials || exists && iterations == recorded(d.Recorded, m) {
			continue
		}
		c.Upserts = append(c.Upserts, kafka.ScramUpsert{
			User: d.Name, Mechanism: name, Iterations: row.Iterations, Password: d.Password,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		c.Deletions = append(c.Deletions, kafka.ScramDeletion{User: d.Name, Mechanism: name})
	}
}

// recorded are the iterations on record of a mechanism; 0 = it is not on record. They are those of its row, but for a
// credential that was found in force and kept.
func recorded(c *v1alpha1.Credentials, m v1alpha1.Mechanism) int32 {
	if c != nil {
		for _, s := range c.Mechanisms {
			if s.Mechanism == m {
				return s.Iterations
			}
		}
	}
	return 0
}

// AsItStands is a record in which a credential that was kept counts as one only while Kafka has it with the same
// iterations. Where somebody else has set it since, it is set as any other.
func AsItStands(c *v1alpha1.Credentials, live []kafka.ScramCredential) *v1alpha1.Credentials {
	if c == nil {
		return nil
	}
	c = c.DeepCopy()
	for n, s := range c.Mechanisms {
		if !slices.Contains(live, kafka.ScramCredential{Mechanism: string(s.Mechanism), Iterations: s.Iterations}) {
			c.Mechanisms[n].Iterations = credential(s.Mechanism).Iterations
		}
	}
	return c
}

func (c *Changes) acls(d Desired, live []kafka.ACL) {
	if d.KeepACLs {
		return
	}
	surplus, there := map[kafka.ACL]bool{}, map[kafka.ACL]bool{}
	for _, a := range live {
		if there[a] = true; !d.Stake.Holds(a) {
			continue
		}
		// A newer Kafka may know words that we have none for. This version did not set such an ACL, and cannot name it
		// to remove it.
		if !strings.HasPrefix(a.Operation, "#") && !strings.HasPrefix(a.ResourceType, "#") &&
			!strings.HasPrefix(a.Pattern, "#") && !strings.HasPrefix(a.Permission, "#") {
			surplus[a] = true
		}
	}
	for _, a := range d.ACLs {
		if !there[a] {
			c.CreateACLs = append(c.CreateACLs, a)
		}
		delete(surplus, a)
	}
	c.DeleteACLs = append(c.DeleteACLs, slices.SortedFunc(maps.Keys(surplus), compareACLs)...)
	if d.Stake == nil && len(d.ACLs) == 0 && len(surplus) == len(there) && len(surplus) > 1 &&
		len(surplus) <= maxWhole {
		c.whole[Principal(d.Name)] = true
	}
}

// Sweep takes those ACLs of a principal away that the stake holds, but for those to be kept, and changes nothing else
// of it.
func (c *Changes) Sweep(name string, stake *Stake, keep []kafka.ACL, live Live) {
	created := c.CreateACLs
	c.acls(Desired{Name: name, ACLs: keep, Stake: stake}, slices.DeleteFunc(slices.Clone(live.ACLs),
		func(a kafka.ACL) bool { return a.Principal != Principal(name) }))
	c.CreateACLs = created
}

// ACLStep is what one request changes of ACLs.
type ACLStep struct {
	Delete bool // create otherwise
	ACLs   []kafka.ACL
	Whole  []kafka.ACLsOf // all that a principal has
}

// ACLSteps orders the changes of ACLs. Each step is safe only once everything of the steps before it is done for the
// principal: what a Deny limits is allowed after it, an old rule goes after the one that takes its place, and a Deny
// goes last.
func (c *Changes) ACLSteps() []ACLStep {
	return []ACLStep{
		{ACLs: denying(c.CreateACLs, true)},
		{ACLs: denying(c.CreateACLs, false)},
		c.deletion(denying(c.DeleteACLs, false)),
		c.deletion(denying(c.DeleteACLs, true)),
	}
}

// deletion deletes ACLs of one permission.
func (c *Changes) deletion(acls []kafka.ACL) ACLStep {
	step := ACLStep{Delete: true}
	place := map[string]int{}
	for _, a := range acls {
		if !c.whole[a.Principal] {
			step.ACLs = append(step.ACLs, a)
			continue
		}
		n, known := place[a.Principal]
		if !known {
			n = len(step.Whole)
			place[a.Principal] = n
			step.Whole = append(step.Whole, kafka.ACLsOf{Principal: a.Principal, Permission: a.Permission})
		}
		step.Whole[n].Count++
	}
	return step
}

func denying(acls []kafka.ACL, deny bool) []kafka.ACL {
	return slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool { return (a.Permission == "Deny") != deny })
}

func (c *Changes) quotas(d Desired, live map[string]float64) {
	alter := map[string]*float64{}
	for key, value := range d.Quotas {
		if have, set := live[key]; !set || have != value {
			alter[key] = &value
		}
	}
	for key := range live {
		if _, wanted := d.Quotas[key]; !wanted {
			alter[key] = nil
		}
	}
	if len(alter) > 0 {
		c.Quotas[d.Name] = alter
	}
}

// ACLsOf spells out the rules of a user, one ACL for each operation, without repetition.
func ACLsOf(name string, rules []v1alpha1.ACLRule) []kafka.ACL {
	var acls []kafka.ACL
	for _, rule := range rules {
		resource := rule.Resource.Name
		if rule.Resource.Type == v1alpha1.ResourceCluster {
			resource = clusterResource
		}
		for _, operation := range rule.Operations {
			acls = append(acls, kafka.ACL{
				Principal:    Principal(name),
				Host:         hostText(cmp.Or(rule.Host, anything)),
				ResourceType: string(rule.Resource.Type),
				ResourceName: resource,
				Pattern:      string(cmp.Or(rule.Resource.Pattern, v1alpha1.PatternLiteral)),
				Operation:    string(operation),
				Permission:   cmp.Or(rule.Permission, "Allow"),
			})
		}
	}
	slices.SortFunc(acls, compareACLs)
	return slices.Compact(acls)
}

// QuotasOf returns the quotas of a user by Kafka's keys.
func QuotasOf(q *v1alpha1.Quotas) map[string]float64 {
	quotas := map[string]float64{}
	if q == nil {
		return quotas
	}
	if q.ProducerByteRate != nil {
		quotas["producer_byte_rate"] = float64(*q.ProducerByteRate)
	}
	if q.ConsumerByteRate != nil {
		quotas["consumer_byte_rate"] = float64(*q.ConsumerByteRate)
	}
	if q.RequestPercentage != nil {
		quotas["request_percentage"] = float64(*q.RequestPercentage)
	}
	if q.ControllerMutationRate != nil {
		quotas["controller_mutation_rate"] = float64(*q.ControllerMutationRate)
	}
	return quotas
}

// DefaultsToAlter compares the default quotas that are wanted with those that Kafka has. Of what is not wanted only own
// are removed: all others are somebody else's.
func DefaultsToAlter(wanted, live map[string]float64, own []string) map[string]*float64 {
	alter := map[string]*float64{}
	for key, value := range wanted {
		if have, set := live[key]; !set || have != value {
			alter[key] = &value
		}
	}
	for _, key := range own {
		_, set := live[key]
		if _, asked := wanted[key]; set && !asked {
			alter[key] = nil
		}
	}
	return alter
}

func compareACLs(a, b kafka.ACL) int {
	return cmp.Or(
		cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.ResourceType, b.ResourceType),
		cmp.Compare(a.ResourceName, b.ResourceName),
		cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Permission, b.Permission),
		cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Host, b.Host),
	)
}
