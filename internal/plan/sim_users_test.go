package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// users are those who run the cluster: they edit the spec, empty brokers that leave, permit lost disks to be replaced,
// and drain machines.
type users struct {
	racks        int // how many there are; node ids go round them
	emptyAfter   int // seconds until a leaving broker is emptied; 0 = never
	replaceAfter int // seconds until a lost disk may be replaced; 0 = never
	draining     map[int32]string
	cordons      map[int32]bool // brokers that they themselves have closed to new replicas
}

func (u *users) rackOf(id int32) string {
	if u.racks == 0 {
		return ""
	}
	return string('a' + id%int32(u.racks))
}

// levels are the metadata.version that each version of Kafka knows at most.
var levels = map[string]int16{"4.1.2": 27, "4.2.2": 29, "4.3.1": 30}

// render makes what is wanted out of the spec, as internal/render does.
func (s *sim) render() {
	var controllers []string
	for i := range s.c.Pools {
		p := &s.c.Pools[i]
		if p.Controller {
			controllers = append(controllers, fmt.Sprintf("%s%d", p.Name, p.Replicas))
		}
	}
	ours := fmt.Sprintf("/op%d/%s", s.spec.operator, strings.Join(controllers, ","))
	s.c.Nodes = nil
	s.want = model.Desired{Files: map[int32]model.Fingerprint{}, Templates: map[string]model.Fingerprint{}}
	for i := range s.c.Pools {
		p := &s.c.Pools[i]
		roles := roles(p.Controller, p.Broker)
		shape := content{text: s.spec.templates[p.Name], controller: p.Controller, broker: p.Broker,
			version: s.c.Version}
		if shape.text == "" {
			shape.text = "t1"
		}
		user := shape.text + "/" + roles + "/" + s.c.Version
		s.contents[user] = shape
		s.want.Templates[p.Name] = model.Fingerprint{User: user, Whole: user + ours}
		for id := p.FirstNodeID; id < p.FirstNodeID+p.Replicas; id++ {
			name := fmt.Sprintf("%s-%d", p.StatefulSet, id)
			s.c.Nodes = append(s.c.Nodes, model.Node{
				ID: id, Pool: p.Name, PodName: name, Host: name, Waiting: s.spec.unknown[id],
				RestartBefore: s.spec.restart[id],
			})
			if s.spec.unknown[id] != "" {
				continue
			}
			files := content{text: s.spec.texts[id], controller: p.Controller, broker: p.Broker}
			if files.text == "" {
				files.text = "v1"
			}
			user := files.text + "/" + roles
			s.contents[user] = files
			s.want.Files[id] = model.Fingerprint{User: user, Whole: user + ours}
		}
	}
	slices.SortFunc(s.c.Nodes, func(a, b model.Node) int { return int(a.ID - b.ID) })
}

func roles(controller, broker bool) string {
	switch {
	case controller && broker:
		return "cb"
	case controller:
		return "c"
	}
	return "b"
}

// edited renders a spec that a user has changed: every node may be restarted once for it.
func (s *sim) edited() {
	clear(s.started)
	s.render()
}

// edit makes nodes want other files: all, or only some.
func (s *sim) edit(text string, only ...int32) {
	for _, n := range s.c.Nodes {
		if len(only) == 0 || slices.Contains(only, n.ID) {
			s.spec.texts[n.ID] = text
		}
	}
	s.edited()
}

func (s *sim) editTemplate(pool, text string) {
	s.spec.templates[pool] = text
	s.edited()
}

func (s *sim) editVersion(version string) {
	s.c.Version = version
	s.edited()
}

// learn makes a fact known, or with words unknown, that the files of a node depend on.
func (s *sim) learn(id int32, waiting string) {
	s.spec.unknown[id] = waiting
	s.render()
}

// upgradeOperator changes what the operator renders and nothing that the user asked for.
func (s *sim) upgradeOperator() {
	s.spec.operator++
	s.render()
}

func (s *sim) askRestart(ids ...int32) {
	for _, id := range ids {
		s.spec.restart[id] = s.now
	}
	s.edited()
}

func (s *sim) poolOf(name string) *model.Pool {
	for i := range s.c.Pools {
		if s.c.Pools[i].Name == name {
			return &s.c.Pools[i]
		}
	}
	return nil
}

func (s *sim) scale(pool string, replicas int32) {
	p := s.poolOf(pool)
	for id := p.FirstNodeID + p.Replicas; id < p.FirstNodeID+replicas; id++ {
		s.spec.texts[id] = s.spec.texts[p.FirstNodeID]
	}
	p.Replicas = replicas
	s.edited()
}

// scaleByHand is somebody who changes the replicas of a StatefulSet, and not the spec.
func (s *sim) scaleByHand(pool string, replicas int32) {
	s.note("(somebody scales the StatefulSet of pool %s to %d)", pool, replicas)
	s.resize(s.sets[pool], replicas, pool)
	s.sets[pool].touched = s.tick
}

func (s *sim) setRoles(pool, roles string) {
	p := s.poolOf(pool)
	p.Controller, p.Broker = strings.Contains(roles, "c"), strings.Contains(roles, "b")
	s.edited()
}

func (s *sim) addPool(spec string) {
	p := parsePool(spec)
	s.c.FormerPools = slices.DeleteFunc(s.c.FormerPools, func(f v1alpha1.PoolStatus) bool { return f.Name == p.Name })
	s.c.Pools = append(s.c.Pools, p)
	s.edited()
}

func (s *sim) removePool(name string) {
	p := s.poolOf(name)
	s.c.FormerPools = append(s.c.FormerPools, v1alpha1.PoolStatus{Name: name, FirstNodeID: p.FirstNodeID})
	s.c.Pools = slices.DeleteFunc(s.c.Pools, func(p model.Pool) bool { return p.Name == name })
	s.edited()
}

// usersWait tells whether users are about to permit that a disk is replaced.
func (s *sim) usersWait() bool {
	return s.users.replaceAfter > 0 && slices.ContainsFunc(s.order, func(n *simNode) bool {
		return (n.lost || n.going) && !n.replace || n.second.failed && !n.second.replace
	})
}

// moveUsers lets users do their part: what the planner waits for and may not do itself.
func (s *sim) moveUsers() {
	for _, n := range s.order {
		wanted := s.wanted(n.id) != nil
		if n.holding++; wanted || !s.slot(n) {
			n.holding = 0
		}
		if s.users.emptyAfter > 0 && n.holding >= s.users.emptyAfter {
			s.emptyBroker(n.id)
		}
		if n.lost || n.going {
			n.lostFor++
			if !n.replace && s.users.replaceAfter > 0 && n.lostFor >= s.users.replaceAfter {
				s.note("(the user permits the disk of node %d to be replaced)", n.id)
				n.replace = true
			}
			if n.going && n.replace && n.lostFor > 60 {
				s.emptyBroker(n.id) // it may have the only copy of something
			}
		}
		if n.second.failed {
			n.second.failedFor++
			if !n.second.replace && s.users.replaceAfter > 0 && n.second.failedFor >= s.users.replaceAfter {
				s.note("(the user permits the second disk of node %d to be replaced)", n.id)
				n.second.replace = true
			}
		}
		if uid, draining := s.users.draining[n.id]; draining {
			switch {
			case n.pod == nil || n.pod.UID != uid:
				delete(s.users.draining, n.id)
			case !n.pod.Deleting:
				s.evict(n)
			}
		}
	}
}

// getsReplicaAtItsEnd lets a topic be made in the moment in which a broker goes that Kafka knows no cordon for.
func (s *sim) getsReplicaAtItsEnd(id int32) {
	for s.slot(s.nodes[id]) {
		s.run(1)
	}
	for made := 0; !s.holds(id); made++ {
		if !s.create(fmt.Sprintf("late-%d", made), 1, 3) || made > 9 {
			s.violate("broker %d gets no replica", id)
			return
		}
	}
}

// cordon closes the machines of nodes, or opens them.
func (s *sim) cordon(closed bool, ids ...int32) {
	for _, id := range ids {
		s.nodes[id].cordoned = closed
	}
}

func (s *sim) drain(ids ...int32) {
	if s.users.draining == nil {
		s.users.draining = map[int32]string{}
	}
	for _, id := range ids {
		if n := s.nodes[id]; n.pod != nil {
			s.users.draining[id] = n.pod.UID
		}
	}
}

// wanted returns the node of the spec with an id, or nil.
func (s *sim) wanted(id int32) *model.Node {
	for i := range s.c.Nodes {
		if s.c.Nodes[i].ID == id {
			return &s.c.Nodes[i]
		}
	}
	return nil
}

func (s *sim) wantedController(id int32) bool {
	n := s.wanted(id)
	return n != nil && s.poolOf(n.Pool).Controller
}

func (s *sim) wantedBroker(id int32) bool {
	n := s.wanted(id)
	return n != nil && s.poolOf(n.Pool).Broker
}

// after is the time that many seconds after the start.
func (s *sim) after(seconds int) time.Time { return s.start.Add(time.Duration(seconds) * time.Second) }
