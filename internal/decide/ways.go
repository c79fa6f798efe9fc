package decide

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/render"
)

// ways are those to the brokers that are up, at the addresses that they advertise, by node and listener. A listener
// that a broker still runs in another way, and one whose certificates nobody could judge, are left out: nothing is
// known there.
func ways(d *Decision, ran func() map[int32]render.NodeFiles, hosts map[int32]model.HostIPs) []reach.Way {
	c := d.Model
	internal, trusted := string(d.Authority.Anchors()), map[string]string{}
	for _, l := range c.Listeners {
		// Nobody knows here what a public authority has signed: the operator need not trust it.
		trusted[l.Name] = string(l.Trust.AnchorsOr(d.Authority.Anchors()))
	}
	shown := map[int32]string{}
	for _, p := range d.Presenting {
		shown[p.Node] = p.Digest
	}
	var all []reach.Way
	for i := range c.Nodes {
		n := &c.Nodes[i]
		pod := d.Observation.Nodes[n.ID].Pod
		if !c.IsBroker(n) || !pod.IsUp() {
			continue
		}
		current := pod.Files.Whole != "" && pod.Files == d.Desired.Files[n.ID]
		for _, l := range c.Listeners {
			nl := n.Listener(strings.ToUpper(l.Name))
			if nl == nil || nl.AdvertisedPort == 0 {
				continue
			}
			if !current && !render.SameListener(ran()[n.ID], d.Files[n.ID], nl.Name) {
				continue
			}
			host := nl.AdvertisedHost
			if model.IsHostIP(host) {
				host = hosts[n.ID].At(host)
			}
			way := reach.Way{
				Listener: l.Name, Node: n.ID, Host: host, Port: nl.AdvertisedPort, ClusterID: c.ClusterID,
				Process: fmt.Sprintf("%s %d %s", pod.UID, pod.StartedAt.Unix(), shown[n.ID]), NodeHost: n.Host,
			}
			if way.ClientCertificate = l.AsksForCertificates(); !way.ClientCertificate {
				way.Mechanisms = mechanism.SaslNames(l.Mechanisms, l.SaslName())
			}
			if way.TLS = l.TLS; l.TLS {
				way.Anchors = trusted[l.Name]
			} else {
				way.InternalPort, way.InternalAnchors = model.PortReplication, internal
			}
			if host != "" && (!l.TLS || way.Anchors != "") {
				all = append(all, way)
			}
		}
	}
	return all
}
