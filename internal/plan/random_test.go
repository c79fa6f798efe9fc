package plan

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/castellan-dev/castellan/internal/model"
)

// happen is what users, machines and networks do in one second.
func (r *randomRun) happen() {
	for _, n := range r.order {
		if r.backIn[n.id] > 0 {
			if r.backIn[n.id]--; r.backIn[n.id] == 0 {
				r.note("(machine of node %d is back)", n.id)
				r.power(n, false)
			}
		}
	}
	for id := range r.closed {
		if r.closed[id]--; r.closed[id] == 0 {
			delete(r.closed, id)
			r.cordon(false, id)
		}
	}
	if pool := r.c.Pools[r.growth.IntN(len(r.c.Pools))].Name; r.growth.IntN(60) == 0 {
		r.note("(the disks of pool %s grow)", pool)
		r.growDisks(pool)
	}
	if r.shrinks {
		r.comeAndGo()
		return
	}
	if n := r.order[r.disks.IntN(len(r.order))]; r.disks.IntN(100) == 0 && !r.calm && r.canFailDisk(n) {
		r.note("(the second disk of node %d fails)", n.id)
		r.failDisk(n)
	}
	n := r.order[r.rng.IntN(len(r.order))]
	if r.rng.IntN(8) > 0 {
		return
	}
	if r.rng.IntN(2) == 0 || r.calm {
		r.change(n)
	} else {
		r.fault(n)
	}
}

// comeAndGo lets pools change their size while users make topics and somebody moves partitions.
func (r *randomRun) comeAndGo() {
	switch r.rng.IntN(20) {
	case 0, 1:
		r.reshape()
	case 2:
		r.moveAPartition()
	case 3, 4:
		stay := 0
		for _, n := range r.c.Nodes {
			if r.wantedBroker(n.ID) {
				stay++
			}
		}
		if r.edits++; r.c.Unavailable != "Wait" { // else it may be a topic that nobody can spare a replica of
			r.create(fmt.Sprintf("late%d", r.edits), 1, 1+r.rng.IntN(min(3, stay)))
		}
	}
}

// change is something that a user does on purpose.
func (r *randomRun) change(n *simNode) {
	r.edits++
	switch r.rng.IntN(14) {
	case 0, 1:
		r.write(fmt.Sprintf("v%d", r.edits), false)
	case 2:
		r.write(fmt.Sprintf("bad%d", r.edits), true)
	case 3:
		r.write("v1", false)
	case 4:
		r.note("(files of node %d change)", n.id)
		r.edit(fmt.Sprintf("own%d", r.edits), n.id)
	case 5:
		text := fmt.Sprintf("t%d", 1+r.edits) // t1 is what every pool begins with
		r.flaky[text] = r.rng.IntN(2) == 0 && !r.missesDisk()
		r.note("(template of pool %s changes, with a sidecar that does not work: %t)", n.pool, r.flaky[text])
		r.editTemplate(n.pool, text)
	case 6, 7:
		r.reshape()
	case 8:
		r.c.DynamicConfig = map[string]string{"min.insync.replicas": "2", "log.cleaner.threads": strconv.Itoa(r.edits)}
	case 9:
		r.c.Paused = !r.c.Paused
		r.note("(paused: %t)", r.c.Paused)
	case 10:
		r.note("(a restart of node %d is asked for)", n.id)
		r.askRestart(n.id)
	case 11:
		r.changeVersion()
	case 12:
		r.note("(another operator version)")
		r.upgradeOperator()
	case 13:
		m := r.order[r.rng.IntN(len(r.order))]
		r.note("(nodes %d and %d are drained)", n.id, m.id)
		if r.rng.IntN(2) == 0 {
			r.closed[n.id], r.closed[m.id] = 20+r.rng.IntN(40), 20+r.rng.IntN(40)
			r.cordon(true, n.id, m.id)
		}
		r.drain(n.id, m.id)
	}
}

func (r *randomRun) write(text string, bad bool) {
	r.bad[text] = bad
	r.note("(files change to %s)", text)
	r.edit(text)
}

// changeVersion moves to another version of Kafka, or lets metadata.version follow. What Kafka refuses nobody asks for.
func (r *randomRun) changeVersion() {
	versions := []string{"4.1.2", "4.2.2", "4.3.1"}
	version := versions[r.rng.IntN(3)]
	if r.rng.IntN(2) == 0 {
		r.note("(metadata.version is to be %d)", levels[r.c.Version])
		r.c.MetadataVersion = levels[r.c.Version]
		return
	}
	if levels[version] >= r.kafka.level && levels[version] >= r.c.MetadataVersion {
		r.note("(the version is to be %s)", version)
		r.editVersion(version)
	}
}

// reshape changes pools into others that hold the partitions and a quorum.
func (r *randomRun) reshape() {
	if slices.ContainsFunc(r.order, func(n *simNode) bool { return n.going }) {
		return // the quorum may have to outlive that disk
	}
	if slices.ContainsFunc(r.c.Pools, func(p model.Pool) bool { return r.isHeadless(p.Name) }) {
		return
	}
	pools := slices.Clone(r.c.Pools)
	i := r.rng.IntN(len(pools))
	p := &pools[i]
	switch kind := r.rng.IntN(5); {
	case kind == 0 && p.Controller:
		p.Replicas = []int32{1, 3, 5}[r.rng.IntN(3)]
	case kind <= 1:
		p.Replicas = 1 + r.rng.Int32N(6)
	case kind == 2 && p.Broker:
		p.Controller = !p.Controller
	case kind == 3:
		r.grow()
		return
	case kind == 4 && len(pools) > 1:
		pools = slices.Delete(pools, i, i+1)
	}
	controllers, brokers := int32(0), int32(0)
	for _, p := range pools {
		if p.Controller {
			controllers += p.Replicas
		}
		if p.Broker {
			brokers += p.Replicas
		}
	}
	least := int32(1)
	if r.c.Unavailable == "Wait" {
		least = 3
	}
	if controllers < least || controllers > 7 || brokers < int32(r.widest()) || brokers > 8 {
		return
	}
	r.take(pools)
}

// grow adds a pool.
func (r *randomRun) grow() {
	if len(r.c.Pools) > 3 {
		return
	}
	roles := []string{"b", "c", "cb"}[r.rng.IntN(3)]
	if roles != "b" && r.controllers() > 4 {
		roles = "b"
	}
	spec := fmt.Sprintf("p%d:%d:%d:%s", r.next, r.next, 1+r.rng.IntN(3), roles)
	r.next += 100
	r.note("(pool %s is added)", spec)
	r.addPool(spec)
}

// take makes other pools the wanted ones.
func (r *randomRun) take(pools []model.Pool) {
	for _, before := range slices.Clone(r.c.Pools) {
		i := slices.IndexFunc(pools, func(p model.Pool) bool { return p.Name == before.Name })
		switch {
		case i < 0:
			r.note("(pool %s is removed)", before.Name)
			r.removePool(before.Name)
		case pools[i].Replicas != before.Replicas:
			r.note("(pool %s is to have %d replicas)", before.Name, pools[i].Replicas)
			r.scale(before.Name, pools[i].Replicas)
		case pools[i].Controller != before.Controller:
			r.note("(pool %s is to have the roles %s)", before.Name, roles(pools[i].Controller, pools[i].Broker))
			r.setRoles(before.Name, roles(pools[i].Controller, pools[i].Broker))
		}
	}
}

// fault is something that nobody wants.
func (r *randomRun) fault(n *simNode) {
	if r.countsOnEmptied() {
		return // the last copy of something could stop before Kafka has noticed that the others are gone
	}
	switch r.rng.IntN(11) {
	case 10:
		if r.canLoseDisk(n) && !n.lost && !n.replace && (r.controllers() > 2 || !n.files.controller) {
			r.note("(the claim of node %d is deleted by mistake)", n.id)
			n.going, n.lostFor = true, 0
		}
	case 9:
		r.note("(the sidecar of node %d is unready for a while)", n.id)
		n.sidecarIn = 5 + r.rng.IntN(60)
	case 0, 1:
		if n.going {
			return
		}
		r.note("(pod of node %d is killed)", n.id)
		r.kill(n)
	case 2:
		if n.pod != nil && !n.going && n.stopping == 0 && !n.poweredOff && r.stale == nil {
			r.note("(somebody deletes the pod of node %d)", n.id)
			r.stop(n)
		}
	case 3, 4:
		if r.backIn[n.id] == 0 && n.stopping == 0 {
			r.note("(machine of node %d loses power)", n.id)
			r.backIn[n.id] = 12 + r.rng.IntN(40)
			r.power(n, true)
		}
	case 5:
		r.dark = !r.dark
		r.note("(Kafka cannot be reached: %t)", r.dark)
	case 6, 7:
		if !r.canLoseDisk(n) {
			return
		}
		if r.rng.IntN(2) == 0 {
			r.note("(the disk of node %d is lost)", n.id)
			r.loseDisk(n)
		} else {
			r.note("(the disk of node %d is emptied)", n.id)
			r.wipe(n)
		}
	case 8:
		r.moveAPartition()
	}
}

// canLoseDisk leaves disks alone that hold the last copy of something: no planner could bring that back.
func (r *randomRun) canLoseDisk(n *simNode) bool {
	if n.dir == "" || n.pod == nil || n.pod.Deleting || n.poweredOff {
		return false
	}
	if r.isVoter(n) {
		intact := 0
		for _, m := range r.kafka.voters {
			if o := r.nodes[m.ID]; o != n && o.dir == m.DirectoryID && o.metaIn == 0 && !o.lost && !o.going {
				intact++
			}
		}
		if intact < len(r.kafka.voters)/2+1 || r.kafka.changing > 0 {
			return false
		}
	}
	for i := range r.kafka.parts {
		p := &r.kafka.parts[i]
		if slices.Contains(p.ISR, n.id) && len(p.ISR) == 1 || len(p.Replicas) == 1 && p.Replicas[0] == n.id {
			return false
		}
		copies := 0
		for _, id := range p.ISR {
			if m := r.nodes[id]; m != n && m.dir != "" && m.alive() {
				copies++
			}
		}
		if copies == 0 && slices.Contains(p.ISR, n.id) {
			return false
		}
	}
	return true
}

// moveAPartition is a reassignment by somebody else.
func (r *randomRun) moveAPartition() {
	p := &r.kafka.parts[r.rng.IntN(len(r.kafka.parts))]
	n := r.order[r.rng.IntN(len(r.order))]
	if p.target != nil || !r.wantedBroker(n.id) || !n.unfenced || slices.Contains(p.Replicas, n.id) {
		return
	}
	target := slices.Clone(p.Replicas)
	target[r.rng.IntN(len(target))] = n.id
	r.note("(somebody moves %s to brokers %v)", p.name(), target)
	r.reassign(p, target)
}
