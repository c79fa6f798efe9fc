//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"time"

	"github.com/castellan-dev/castellan/test/bench/report"
)

const (
	// phasePatience is how long one phase may take.
	phasePatience = 30 * time.Minute
	// kafkaPatience is how long after Ready Kafka may take to agree.
	kafkaPatience = 30 * time.Second
	kafkaInterval = 250 * time.Millisecond
	// quietCPU is how many CPU seconds the operator uses, at most, while it is said to have nothing to do.
	quietCPU = 0.1
	// warmup objects come and go before anything is measured, or the first floor would pay for the servers' start.
	warmup = 200
)

// measure takes all objects through their life twice: with an operator that has just begun (cold), and with the same
// one again (warm). Before each step of the operator comes the same step of the floor, so that both see the same
// machine.
func (w *World) measure(ctx context.Context) (report.Run, error) {
	o, changes := w.options, w.subject.Changes
	run := report.Run{
		Noun: w.subject.Noun, N: o.N, Looks: w.subject.Looks, Started: time.Now(), Cores: runtime.NumCPU(),
	}
	say("warming up the API server and the brokers")
	for _, c := range changes {
		n := min(o.N, warmup)
		_, err := w.floor(ctx, c, n)
		if err = errors.Join(err, c.Kafka(ctx, w.Bench, names(floorNamespace, n))); err != nil {
			return run, err
		}
	}
	add := func(phase report.Phase, err error) error {
		run.Phases = append(run.Phases, phase)
		return err
	}
	if err := w.idle(ctx, add); err != nil {
		return run, err
	}
	for _, pass := range []string{"cold", "warm"} {
		for i, c := range changes {
			if pass == "warm" && i == len(changes)-1 {
				if err := add(w.rest(ctx)); err != nil {
					return run, err
				}
			}
			if err := add(w.step(ctx, c, c.Verb+" "+pass)); err != nil {
				return run, err
			}
		}
	}
	return run, nil
}

// idle is what comes before the first change.
func (w *World) idle(ctx context.Context, add func(report.Phase, error) error) error {
	if beside := w.options.Beside; beside > 0 {
		say("making %d %s", beside, w.subject.Noun)
		all := names("beside", beside)
		if _, err := w.change(ctx, w.subject.Changes[0], w.Bench, all); err != nil {
			return err
		}
		if err := add(w.begin(ctx)); err != nil {
			return err
		}
	}
	if !w.subject.Idles {
		return nil
	}
	if w.Operator == nil {
		if err := w.StartOperator(ctx); err != nil {
			return err
		}
	}
	return add(w.rest(ctx))
}

// begin starts the operator beside many objects that are as they should be, and waits until it has looked at all.
func (w *World) begin(ctx context.Context) (report.Phase, error) {
	phase := report.Phase{Name: fmt.Sprintf("start beside %d", w.options.Beside)}
	say("%s", phase.Name)
	audit, err1 := auditSize(w.server.AuditLog())
	serverCPU, err2 := w.serverCPU()
	brokerCPU, err3 := w.brokerCPU()
	harnessCPU, err4 := CPUSeconds(os.Getpid())
	start := time.Now()
	if err := errors.Join(err1, err2, err3, err4, w.StartOperator(ctx)); err != nil {
		return phase, err
	}
	meter := &Meter{world: w, audit: audit, serverCPU: serverCPU, brokerCPU: brokerCPU, harnessCPU: harnessCPU}
	for lastAsked, lastUsed := -1, 0.0; ; {
		now, asked := time.Since(start).Seconds(), 0
		for _, n := range w.wire.counted() {
			asked += n
		}
		used, err := CPUSeconds(w.Operator.pid())
		if err != nil || asked == lastAsked && used-lastUsed < quietCPU {
			return phase, errors.Join(err, meter.Read(&phase))
		}
		lastAsked, lastUsed, phase.Done = asked, used, now
		if err := errors.Join(pause(ctx, max(w.options.Echo, time.Second)), w.Operator.Running()); err != nil {
			return phase, err
		}
	}
}

// step is the floor and then the operator.
func (w *World) step(ctx context.Context, c Change, name string) (report.Phase, error) {
	floor, err := w.floor(ctx, c, w.options.N)
	if err != nil {
		return report.Phase{}, fmt.Errorf("floor of %s: %w", name, err)
	}
	say("%s: the floor is %.1f s (API) and %.1f s (Kafka)", name, floor.API, floor.Kafka)
	if w.Operator == nil {
		if err := w.StartOperator(ctx); err != nil {
			return report.Phase{}, err
		}
	}
	phase, err := w.Phase(ctx, c, name)
	phase.Floor = &floor
	return phase, err
}

// floor makes a change to all objects without an operator: a bare client writes what a user and an operator would, in
// the order that every operator has to keep, and Kafka is asked for everything at once.
func (w *World) floor(ctx context.Context, c Change, n int) (report.Floor, error) {
	serverCPU, err := w.serverCPU()
	if err != nil {
		return report.Floor{}, err
	}
	follower, err := w.follow(ctx, floorNamespace, c, n)
	if err != nil {
		return report.Floor{}, err
	}
	defer follower.stop()
	all := names(floorNamespace, n)
	start := time.Now()
	inKafka, err := w.change(ctx, c, w.Floor, all)
	if err != nil {
		return report.Floor{}, err
	}
	if err := <-follower.done; err != nil {
		return report.Floor{}, err
	}
	api := time.Since(start) - inKafka
	after, err := w.serverCPU()
	if err == nil {
		err = c.writeAll(ctx, w.Kube, w.subject.objects(floorNamespace, all), c.Clean...)
	}
	return report.Floor{API: api.Seconds(), Kafka: inKafka.Seconds(), ServerCPU: after - serverCPU}, err
}

// change makes a change in the operator's place. It tells how much of the time went to Kafka.
func (w *World) change(ctx context.Context, c Change, side *Side, names []string) (inKafka time.Duration, err error) {
	objects := w.subject.objects(side.Namespace, names)
	if err := c.writeAll(ctx, w.Kube, objects, append([]Write{c.Submit}, c.Before...)...); err != nil {
		return 0, err
	}
	asked := time.Now()
	if err := c.Kafka(ctx, side, names); err != nil {
		return 0, err
	}
	inKafka = time.Since(asked)
	return inKafka, c.writeAll(ctx, w.Kube, objects, c.After...)
}

// Phase makes a change to all objects and waits until the operator has carried it out.
func (w *World) Phase(ctx context.Context, c Change, name string) (report.Phase, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, phasePatience, fmt.Errorf("%s took more than %s", name, phasePatience))
	defer cancel()
	n := w.options.N
	meter, err := w.NewMeter()
	if err != nil {
		return report.Phase{}, err
	}
	follower, err := w.follow(ctx, Namespace, c, n)
	if err != nil {
		return report.Phase{}, err
	}
	defer follower.stop()
	objects := w.subject.objects(Namespace, names(Namespace, n))
	start := time.Now()
	if err := c.writeAll(ctx, w.Kube, objects, c.Submit); err != nil {
		return report.Phase{}, err
	}
	say("%s: submitted in %.1f s", name, time.Since(start).Seconds())
	if err := w.await(ctx, follower, name); err != nil {
		return report.Phase{}, fmt.Errorf("%s: %w", name, err)
	}
	times := follower.since(start)
	phase := report.Phase{
		Name: name,
		Done: report.Percentile(times, 1),
		P50:  report.Percentile(times, 0.5),
		P99:  report.Percentile(times, 0.99),
		Must: multiplied(c.Requests, n),
	}
	if phase.KafkaLag, err = w.agree(ctx, c, n); err != nil {
		return phase, fmt.Errorf("%s: %w", name, err)
	}
	if err := pause(ctx, w.options.Echo); err != nil {
		return phase, err
	}
	say("%s: done in %.1f s", name, phase.Done)
	err = meter.Read(&phase)
	return phase, errors.Join(err, c.writeAll(ctx, w.Kube, objects, c.Clean...))
}

func multiplied(each map[string]int, n int) map[string]int {
	all := maps.Clone(each)
	for verb := range all {
		all[verb] *= n
	}
	return all
}

// rest measures what the operator takes when nothing happens.
func (w *World) rest(ctx context.Context) (report.Phase, error) {
	phase := report.Phase{Name: fmt.Sprintf("rest %.0f s", w.options.Rest.Seconds()), Must: map[string]int{}}
	say("%s", phase.Name)
	meter, err := w.NewMeter()
	if err != nil {
		return phase, err
	}
	if err := pause(ctx, w.options.Rest); err != nil {
		return phase, err
	}
	return phase, errors.Join(w.Operator.Running(), meter.Read(&phase))
}

// await waits until every object is as it should be, and tells how many are.
func (w *World) await(ctx context.Context, f *follower, name string) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-f.done:
			return err
		case <-w.Operator.done:
			return w.Operator.Running()
		case <-ctx.Done():
			return fmt.Errorf("%d of %d %s: %w", f.settled(), w.options.N, w.subject.Noun, context.Cause(ctx))
		case <-tick.C:
			if err := w.brokersRun(); err != nil {
				return err
			}
			say("%s: %d of %d", name, f.settled(), w.options.N)
		}
	}
}

// agree asks Kafka itself until it shows all objects as they should be.
func (w *World) agree(ctx context.Context, c Change, n int) (lag float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	start := time.Now()
	for asked := start; ; asked = time.Now() {
		wrong, err := c.Wrong(ctx, w.Bench, names(Namespace, n))
		if err != nil {
			return 0, err
		}
		if wrong == 0 {
			return asked.Sub(start).Seconds(), nil
		}
		if err := pause(ctx, kafkaInterval); err != nil {
			return 0, fmt.Errorf("%d of %d %s are not in Kafka as their objects say: %w", wrong, n, w.subject.Noun, err)
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

// Meter holds what had been used when a phase began.
type Meter struct {
	world       *World
	audit       int64
	kafka       map[string]int
	operatorCPU float64
	serverCPU   float64
	brokerCPU   float64
	harnessCPU  float64
}

// NewMeter begins to measure.
func (w *World) NewMeter() (*Meter, error) {
	audit, err1 := auditSize(w.server.AuditLog())
	operatorCPU, err2 := CPUSeconds(w.Operator.pid())
	serverCPU, err3 := w.serverCPU()
	brokerCPU, err4 := w.brokerCPU()
	harnessCPU, err5 := CPUSeconds(os.Getpid())
	err := errors.Join(err1, err2, err3, err4, err5, resetPeak(w.Operator.pid()))
	return &Meter{w, audit, w.wire.counted(), operatorCPU, serverCPU, brokerCPU, harnessCPU}, err
}

// Read fills in what has been used since.
func (m *Meter) Read(p *report.Phase) error {
	var errs [7]error
	var operatorCPU, serverCPU, brokerCPU, harnessCPU float64
	p.APIRequests, errs[0] = auditSince(m.world.server.AuditLog(), m.audit)
	operatorCPU, errs[1] = CPUSeconds(m.world.Operator.pid())
	serverCPU, errs[2] = m.world.serverCPU()
	p.PeakRSS, errs[3] = peakRSS(m.world.Operator.pid())
	p.Load, errs[4] = LoadAverage()
	brokerCPU, errs[5] = m.world.brokerCPU()
	harnessCPU, errs[6] = CPUSeconds(os.Getpid())
	p.BrokerCPU, p.HarnessCPU = brokerCPU-m.brokerCPU, harnessCPU-m.harnessCPU
	p.OperatorCPU, p.ServerCPU = operatorCPU-m.operatorCPU, serverCPU-m.serverCPU
	p.KafkaRequests = m.world.wire.counted()
	for name, before := range m.kafka {
		p.KafkaRequests[name] -= before
	}
	maps.DeleteFunc(p.KafkaRequests, func(_ string, n int) bool { return n == 0 })
	return errors.Join(errs[:]...)
}

// Counted returns how many requests of an API the operator has sent to Kafka so far.
func (w *World) Counted(api string) int { return w.wire.counted()[api] }

// brokerCPU is what the operator's brokers have used since they began.
func (w *World) brokerCPU() (sum float64, err error) {
	for _, n := range w.Bench.Brokers.Nodes {
		seconds, err := CPUSeconds(n.PID())
		if err != nil {
			return 0, err
		}
		sum += seconds
	}
	return sum, nil
}

// serverCPU is what the API server and etcd have used since they began.
func (w *World) serverCPU() (float64, error) {
	pids, err := Descendants(w.server.PID())
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, pid := range pids {
		seconds, err := CPUSeconds(pid)
		if err != nil {
			return 0, err
		}
		sum += seconds
	}
	return sum, nil
}
