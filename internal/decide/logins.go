package decide

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Logins are the files of custom mechanisms. They are a copy: what a pod mounts it gets whatever becomes of the label
// by which the owner of a Secret permits its use, and whatever somebody writes there that no broker could start with.
// Its digest tells nobody what is in it, as revisions are among that, which are random.
type Logins struct{ Mounted }

// refuseLogins are the faults of a spec that names a Secret for a custom mechanism which cannot be used, where nothing
// is in force that could go on.
func refuseLogins(in Inputs, c *model.Cluster, spec *v1alpha1.KafkaClusterSpec) []verdict.Verdict {
	var faults []verdict.Verdict
	_, unusable := readLogins(in.Provided, c)
	for _, listener := range slices.Sorted(maps.Keys(unusable)) {
		if !equality.Semantic.DeepEqual(customIn(in.Accepted, listener), customIn(spec, listener)) {
			faults = append(faults, *unusable[listener])
		}
	}
	return faults
}

func customIn(spec *v1alpha1.KafkaClusterSpec, listener string) *v1alpha1.ListenerCustom {
	if spec == nil {
		return nil
	}
	i := slices.IndexFunc(spec.Listeners, func(l v1alpha1.Listener) bool { return l.Name == listener })
	if i < 0 || spec.Listeners[i].Authentication == nil {
		return nil
	}
	return spec.Listeners[i].Authentication.Custom
}

// readLogins reads what brokers shall read, by listener, or says why it cannot be used. A Java virtual machine has one
// configuration of Kerberos; a second one that differs is refused.
func readLogins(secrets provided.Secrets, c *model.Cluster) (files map[string]map[string][]byte,
	unusable map[string]*verdict.Verdict) {
	files, unusable = map[string]map[string][]byte{}, map[string]*verdict.Verdict{}
	first := ""
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Custom == nil {
			continue
		}
		refuse := func(format string, args ...any) *verdict.Verdict {
			fault := verdict.Stalled(provided.ReasonLogin, provided.LoginField(l.Name), "Secret %q: "+format,
				append([]any{l.Custom.Secret.Name}, args...)...)
			return &fault
		}
		read, fault := secrets.Login(l.Name, l.Custom)
		conf, has := read[model.KerberosEntry]
		switch {
		case fault != nil:
		case has && first != "" && !bytes.Equal(conf, files[first][model.KerberosEntry]):
			fault = refuse("a broker has one %s for all its listeners, and listener %s has another; make both the same, with "+
				"the realms of both", model.KerberosEntry, first)
		case bytes.Contains(read[model.JaasEntry], []byte(provided.HostVariable)) && advertisesHostIP(c, l.Name):
			fault = refuse("%s names %s, and brokers advertise the address of their machine there, which may be any; use %s, "+
				"or advertise names", model.JaasEntry, provided.HostVariable, provided.NodeVariable)
		case sizeOfLines(c, l, read[model.JaasEntry]) > roomForLines:
			fault = refuse("the lines of all brokers take more than %d bytes, as %s names what differs among them; shorten it",
				roomForLines, model.JaasEntry)
		}
		if fault != nil {
			unusable[l.Name] = fault
			continue
		}
		if files[l.Name] = read; has && first == "" {
			first = l.Name
		}
	}
	return files, unusable
}

// roomForLines is what the lines of all brokers of a listener may take.
const roomForLines = 256 << 10

func sizeOfLines(c *model.Cluster, l *model.Listener, line []byte) int {
	size := 0
	for _, own := range linesOf(c, l, line) {
		size += len(own)
	}
	return size
}

func advertisesHostIP(c *model.Cluster, listener string) bool {
	return slices.ContainsFunc(c.Nodes, func(n model.Node) bool {
		nl := n.Listener(strings.ToUpper(listener))
		return nl != nil && model.IsHostIP(nl.AdvertisedHost)
	})
}

// linesOf are the lines of JAAS of single nodes, by entry, where they differ: in Kerberos each broker is a principal of
// its own, by the name at which clients come to it.
func linesOf(c *model.Cluster, l *model.Listener, line []byte) map[string][]byte {
	lines := map[string][]byte{}
	if !provided.DiffersByNode(line) {
		return lines
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		nl := n.Listener(strings.ToUpper(l.Name))
		if nl != nil && !(model.IsHostIP(nl.AdvertisedHost) && bytes.Contains(line, []byte(provided.HostVariable))) {
			lines[model.NodeJaasEntry(l.Name, n.ID)] = provided.LineOf(line, n.ID, nl.AdvertisedHost)
		}
	}
	return lines
}

// knowLogins tells the model what brokers read of custom mechanisms now: what is in the live copy. A change of it
// counts from when it can be seen there, so that no broker restarts for files that it does not find. Files of nodes
// that would name what is not there yet wait.
func (d *Decision) knowLogins(in Inputs) {
	var live map[string][]byte
	if secret := in.Live.Secrets[model.LoginsSecret(d.Model.Name)]; secret != nil {
		live = secret.Data
	}
	for i := range d.Model.Listeners {
		l := &d.Model.Listeners[i]
		if l.Custom == nil {
			continue
		}
		line := live[model.LoginEntry(l.Name, model.JaasEntry)]
		l.Login = model.Login{Revision: string(live[l.Name]), Kerberos: hasKerberos(live[l.Name]),
			ByNode: provided.DiffersByNode(line)}
		for k := range d.Model.Nodes {
			n := &d.Model.Nodes[k]
			entry := model.LoginEntry(l.Name, model.JaasEntry)
			if l.Login.ByNode {
				entry = model.NodeJaasEntry(l.Name, n.ID)
			}
			if live[entry] == nil && n.Waiting == "" && n.Listener(strings.ToUpper(l.Name)) != nil {
				n.Waiting = "the files of the mechanism " + l.Custom.Mechanism + " of listener " + l.Name + " are not there yet"
			}
		}
	}
}

// giveLogins decides what brokers read of custom mechanisms. What they have goes on where the Secret cannot be used.
func (d *Decision) giveLogins(in Inputs) {
	name := model.LoginsSecret(d.Model.Name)
	live := in.Live.Secrets[name]
	if !d.Model.HasCustom() && live == nil {
		return
	}
	logins, keep := Logins{Mounted{Secret: name, Data: map[string][]byte{}}}, !d.atRest()
	files, unusable := readLogins(in.Provided, d.Model)
	for i := range d.Model.Listeners {
		l := &d.Model.Listeners[i]
		if l.Custom == nil {
			continue
		}
		if fault := unusable[l.Name]; fault != nil {
			d.refuse(fault)
			keepLogin(logins.Data, l.Name, live)
		} else if logins.take(l.Name, files[l.Name], live) {
			// Brokers go on with what they have until they restart, and so do the files that it names.
			logins.Data[l.Name], keep = newRevision(in.NewUUID(), files[l.Name]), true
		}
		maps.Copy(logins.Data, linesOf(d.Model, l, logins.Data[model.LoginEntry(l.Name, model.JaasEntry)]))
	}
	logins.settle(live, keep)
	d.Logins = logins
}

// take has brokers read the files of a listener, and tells whether that is another revision than the live one.
func (logins *Logins) take(listener string, files map[string][]byte, live *corev1.Secret) (other bool) {
	for entry, content := range files {
		logins.Data[model.LoginEntry(listener, entry)] = content
	}
	if live == nil || len(live.Data[listener]) == 0 || isOther(logins.Data, live, listener) {
		return true
	}
	logins.Data[listener] = live.Data[listener]
	return false
}

// withKerberos ends a revision with a krb5.conf: the file itself may be one that is only kept.
const withKerberos = " " + model.KerberosEntry

func newRevision(random string, files map[string][]byte) []byte {
	if _, has := files[model.KerberosEntry]; has {
		random += withKerberos
	}
	return []byte(random)
}

func hasKerberos(revision []byte) bool { return bytes.HasSuffix(revision, []byte(withKerberos)) }

// keepLogin takes over what brokers have of a listener.
func keepLogin(data map[string][]byte, listener string, live *corev1.Secret) {
	if live == nil {
		return
	}
	for entry, content := range live.Data {
		if entry == listener || strings.HasPrefix(entry, model.LoginEntry(listener, "")) {
			data[entry] = content
		}
	}
}

// isOther tells whether what brokers read but once is another than in the live copy. All else their classes read again
// by themselves, as Kerberos does with keytabs, or not before a restart.
func isOther(data map[string][]byte, live *corev1.Secret, listener string) bool {
	line, conf := model.LoginEntry(listener, model.JaasEntry), model.LoginEntry(listener, model.KerberosEntry)
	_, kerberos := data[conf]
	return kerberos != hasKerberos(live.Data[listener]) || kerberos && !bytes.Equal(data[conf], live.Data[conf]) ||
		!bytes.Equal(data[line], live.Data[line])
}
