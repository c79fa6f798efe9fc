//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"time"

	"github.com/castellan-dev/castellan/test/benchtopics/report"
)

const (
	// phasePatience is how long one phase may take.
	phasePatience = 30 * time.Minute
	// kafkaPatience is how long after Ready Kafka may take to agree.
	kafkaPatience = 30 * time.Second
	kafkaInterval = 250 * time.Millisecond
	// warmup topics come and go before anything is measured, or the first floor would pay for the servers' start.
	warmup = 200
)

// measure takes all topics through their life twice: with an operator that has just begun (cold), and with the same one
// again (warm). Before each step of the operator comes the same step of the floor, so that both see the same machine.
func measure(ctx context.Context, w *world, o options) (report.Run, error) {
	run := report.Run{Topics: o.topics, Started: time.Now(), Cores: runtime.NumCPU()}
	say("warming up the API server and the brokers")
	for _, c := range []change{create, alter, remove} {
		n := min(o.topics, warmup)
		_, err := w.floor(ctx, c, n)
		if err = errors.Join(err, c.kafka(ctx, w.admin, topicNames(floorNamespace, n))); err != nil {
			return run, err
		}
	}
	step := func(c change, pass string) func() (report.Phase, error) {
		return func() (report.Phase, error) { return w.step(ctx, c, c.verb+" "+pass, o) }
	}
	for _, do := range []func() (report.Phase, error){
		step(create, "cold"), step(alter, "cold"), step(remove, "cold"),
		step(create, "warm"), step(alter, "warm"),
		func() (report.Phase, error) { return w.rest(ctx, o.rest) },
		step(remove, "warm"),
	} {
		phase, err := do()
		if err != nil {
			return run, err
		}
		run.Phases = append(run.Phases, phase)
	}
	return run, nil
}

// step is the floor and then the operator.
func (w *world) step(ctx context.Context, c change, name string, o options) (report.Phase, error) {
	floor, err := w.floor(ctx, c, o.topics)
	if err != nil {
		return report.Phase{}, fmt.Errorf("floor of %s: %w", name, err)
	}
	say("%s: the floor is %.1f s (API) and %.1f s (Kafka)", name, floor.API, floor.Kafka)
	if w.operator == nil {
		if err := w.startOperator(ctx, o); err != nil {
			return report.Phase{}, err
		}
	}
	phase, err := w.phase(ctx, c, name, o)
	phase.Floor = &floor
	return phase, err
}

// floor makes a change to all topics without an operator: a bare client writes what a user and an operator would, in
// the order that every operator has to keep, and Kafka is asked for everything at once.
func (w *world) floor(ctx context.Context, c change, n int) (report.Floor, error) {
	serverCPU, err := w.serverCPU()
	if err != nil {
		return report.Floor{}, err
	}
	follower, err := w.follow(ctx, floorNamespace, c, n)
	if err != nil {
		return report.Floor{}, err
	}
	defer follower.stop()
	topics := newTopics(floorNamespace, n)
	start := time.Now()
	if err := c.writeAll(ctx, w.kube, topics, append([]write{c.submit}, c.before...)...); err != nil {
		return report.Floor{}, err
	}
	asked := time.Now()
	if err := c.kafka(ctx, w.floorAdmin, topicNames(floorNamespace, n)); err != nil {
		return report.Floor{}, err
	}
	inKafka := time.Since(asked)
	if err := c.writeAll(ctx, w.kube, topics, c.after...); err != nil {
		return report.Floor{}, err
	}
	if err := <-follower.done; err != nil {
		return report.Floor{}, err
	}
	api := time.Since(start) - inKafka
	after, err := w.serverCPU()
	return report.Floor{API: api.Seconds(), Kafka: inKafka.Seconds(), ServerCPU: after - serverCPU}, err
}

// phase makes a change to all topics and waits until the operator has carried it out.
func (w *world) phase(ctx context.Context, c change, name string, o options) (report.Phase, error) {
	n := o.topics
	ctx, cancel := context.WithTimeoutCause(ctx, phasePatience, fmt.Errorf("%s took more than %s", name, phasePatience))
	defer cancel()
	meter, err := w.newMeter()
	if err != nil {
		return report.Phase{}, err
	}
	follower, err := w.follow(ctx, benchNamespace, c, n)
	if err != nil {
		return report.Phase{}, err
	}
	defer follower.stop()
	start := time.Now()
	if err := c.writeAll(ctx, w.kube, newTopics(benchNamespace, n), c.submit); err != nil {
		return report.Phase{}, err
	}
	say("%s: submitted in %.1f s", name, time.Since(start).Seconds())
	if err := w.await(ctx, follower, name, n); err != nil {
		return report.Phase{}, fmt.Errorf("%s: %w", name, err)
	}
	times := follower.since(start)
	phase := report.Phase{
		Done: report.Percentile(times, 1),
		P50:  report.Percentile(times, 0.5),
		P99:  report.Percentile(times, 0.99),
	}
	if phase.KafkaLag, err = w.agree(ctx, c, n); err != nil {
		return phase, fmt.Errorf("%s: %w", name, err)
	}
	if err := pause(ctx, o.echo); err != nil {
		return phase, err
	}
	say("%s: done in %.1f s", name, phase.Done)
	phase.Name = name
	return phase, meter.read(&phase)
}

// rest measures what the topics cost when nothing happens.
func (w *world) rest(ctx context.Context, duration time.Duration) (report.Phase, error) {
	phase := report.Phase{Name: fmt.Sprintf("rest %.0f s", duration.Seconds())}
	say("%s", phase.Name)
	meter, err := w.newMeter()
	if err != nil {
		return phase, err
	}
	if err := pause(ctx, duration); err != nil {
		return phase, err
	}
	return phase, errors.Join(w.operator.running(), meter.read(&phase))
}

// await waits until every topic is as it should be, and tells how many are.
func (w *world) await(ctx context.Context, f *follower, name string, n int) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-f.done:
			return err
		case <-w.operator.done:
			return w.operator.running()
		case <-ctx.Done():
			return fmt.Errorf("%d of %d topics: %w", f.settled(), n, context.Cause(ctx))
		case <-tick.C:
			if err := w.brokersRun(); err != nil {
				return err
			}
			say("%s: %d of %d", name, f.settled(), n)
		}
	}
}

// agree asks Kafka itself until it shows all topics as they should be.
func (w *world) agree(ctx context.Context, c change, n int) (lag float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	names := topicNames(benchNamespace, n)
	start := time.Now()
	for asked := start; ; asked = time.Now() {
		live, err := w.admin.DescribeTopics(ctx, names)
		if err != nil {
			return 0, err
		}
		wrong := 0
		for _, name := range names {
			if t, found := live[name]; !c.holds(t, found) {
				wrong++
			}
		}
		if wrong == 0 {
			return asked.Sub(start).Seconds(), nil
		}
		if err := pause(ctx, kafkaInterval); err != nil {
			return 0, fmt.Errorf("%d of %d topics are not in Kafka as their objects say: %w", wrong, n, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// meter holds what had been used when a phase began.
type meter struct {
	world       *world
	audit       int64
	kafka       map[string]int
	operatorCPU float64
	serverCPU   float64
	brokerCPU   float64
	harnessCPU  float64
}

func (w *world) newMeter() (*meter, error) {
	audit, err1 := auditSize(w.server.AuditLog())
	operatorCPU, err2 := cpuSeconds(w.operator.pid())
	serverCPU, err3 := w.serverCPU()
	brokerCPU, err4 := cpuSeconds(w.broker.Nodes[0].PID())
	harnessCPU, err5 := cpuSeconds(os.Getpid())
	err := errors.Join(err1, err2, err3, err4, err5, resetPeak(w.operator.pid()))
	return &meter{w, audit, w.front.counted(), operatorCPU, serverCPU, brokerCPU, harnessCPU}, err
}

// read fills in what has been used since.
func (m *meter) read(p *report.Phase) error {
	var errs [7]error
	var operatorCPU, serverCPU, brokerCPU, harnessCPU float64
	p.APIRequests, errs[0] = auditSince(m.world.server.AuditLog(), m.audit)
	operatorCPU, errs[1] = cpuSeconds(m.world.operator.pid())
	serverCPU, errs[2] = m.world.serverCPU()
	p.PeakRSS, errs[3] = peakRSS(m.world.operator.pid())
	p.Load, errs[4] = loadAverage()
	brokerCPU, errs[5] = cpuSeconds(m.world.broker.Nodes[0].PID())
	harnessCPU, errs[6] = cpuSeconds(os.Getpid())
	p.BrokerCPU, p.HarnessCPU = brokerCPU-m.brokerCPU, harnessCPU-m.harnessCPU
	p.OperatorCPU, p.ServerCPU = operatorCPU-m.operatorCPU, serverCPU-m.serverCPU
	p.KafkaRequests = m.world.front.counted()
	for name, before := range m.kafka {
		p.KafkaRequests[name] -= before
	}
	maps.DeleteFunc(p.KafkaRequests, func(_ string, n int) bool { return n == 0 })
	return errors.Join(errs[:]...)
}

// serverCPU is what the API server and etcd have used since they began.
func (w *world) serverCPU() (float64, error) {
	pids, err := descendants(w.server.PID())
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, pid := range pids {
		seconds, err := cpuSeconds(pid)
		if err != nil {
			return 0, err
		}
		sum += seconds
	}
	return sum, nil
}
