package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/version"
)

// runTime is how Kafka keeps run-time keys: what is set for all brokers, what for each, and what each runs.
type runTime struct {
	t       *testing.T
	s       *stage
	running map[int32]map[string]string
	refused []string
}

func newRunTime(t *testing.T) *runTime {
	s := newStage(t)
	s.c.Version = "4.3.1"
	k := &runTime{t: t, s: s, running: map[int32]map[string]string{}}
	s.shot().BrokerConfigs = map[int32]map[string]string{}
	for _, id := range []int32{0, 1, 2} {
		s.shot().BrokerConfigs[id], k.running[id] = map[string]string{}, map[string]string{}
		k.settle(id)
	}
	return k
}

// standing is what a broker should run by what is set.
func (k *runTime) standing(id int32, all, own map[string]string) map[string]string {
	values := map[string]string{"min.insync.replicas": "1"}
	v, _ := version.Find("4.3.1")
	for _, key := range version.ThreadPools() {
		size, _ := v.Default(key)
		values[key] = strconv.Itoa(size)
	}
	maps.Copy(values, all)
	maps.Copy(values, own)
	return values
}

// refuses is what a broker says of values that it should run in place of those that it runs.
func (k *runTime) refuses(id int32, values map[string]string) error {
	for key, value := range values {
		now, was := k.running[id][key]
		if !version.IsThreadPool(key) || !was {
			if key == "min.insync.replicas" && value == "0" {
				return fmt.Errorf("%s=%s", key, value)
			}
			continue
		}
		size, _ := strconv.Atoi(strings.TrimSpace(value))
		if old, _ := strconv.Atoi(strings.TrimSpace(now)); size < 1 || size < old/2 || size > old*2 {
			return fmt.Errorf("%s=%s, and broker %d runs %d", key, value, id, old)
		}
	}
	return nil
}

// settle lets a broker run what is set, if it can.
func (k *runTime) settle(id int32) {
	values := k.standing(id, k.s.shot().Config, k.s.shot().BrokerConfigs[id])
	if k.refuses(id, values) == nil {
		k.running[id] = values
	}
	k.s.shot().InUse = k.running
}

func altered(config map[string]string, changes []kafka.ConfigChange) map[string]string {
	config = maps.Clone(config)
	for _, c := range changes {
		if delete(config, c.Key); c.Value != nil {
			config[c.Key] = *c.Value
		}
	}
	return config
}

// carryOut does as Kafka does: the broker that is asked refuses what it cannot run, and another one logs it.
func (k *runTime) carryOut(step Step) {
	shot := k.s.shot()
	if step.Node == kafka.AllBrokers {
		all := altered(shot.Config, step.Changes)
		if err := k.refuses(0, k.standing(0, all, shot.BrokerConfigs[0])); err != nil {
			k.refused = append(k.refused, err.Error())
			return
		}
		shot.Config = all
		for id := range k.running {
			k.settle(id)
		}
		return
	}
	own := altered(shot.BrokerConfigs[step.Node], step.Changes)
	if err := k.refuses(step.Node, k.standing(step.Node, shot.Config, own)); err != nil {
		k.refused = append(k.refused, err.Error())
		return
	}
	shot.BrokerConfigs[step.Node] = own
	k.settle(step.Node)
}

// arrive plans and carries out until there is nothing left to configure, and returns how many passes that took.
func (k *runTime) arrive() int {
	k.t.Helper()
	for pass := range 20 {
		p := k.s.next()
		steps := slices.DeleteFunc(p.Steps, func(s Step) bool { return s.Kind != AlterConfig })
		if len(steps) == 0 {
			if len(p.Waiting) > 0 {
				k.t.Errorf("it waits: %v", p.Waiting)
			}
			return pass
		}
		for _, step := range steps {
			k.carryOut(step)
		}
	}
	k.t.Fatalf("never at rest: %v", k.s.next().Steps)
	return 0
}

func (k *runTime) wantRunning(key string, want ...string) {
	k.t.Helper()
	for id, size := range want {
		if got := k.running[int32(id)][key]; got != size {
			k.t.Errorf("broker %d runs %s of %s, want %s", id, got, key, size)
		}
	}
	if len(k.refused) > 0 {
		k.t.Errorf("refused: %v", k.refused)
	}
}

func TestANewClusterReachesAnyNumberOfThreadsWithoutAWord(t *testing.T) {
	k := newRunTime(t)
	maps.Copy(k.s.c.DynamicConfig, map[string]string{
		"num.network.threads": "8", "num.io.threads": "24", "num.replica.fetchers": " 4", "log.cleaner.threads": "+3",
		"min.insync.replicas": "2",
	})
	k.arrive()
	for key, want := range map[string]string{
		"num.network.threads": "8", "num.io.threads": "24", "num.replica.fetchers": "4", "log.cleaner.threads": "+3",
	} {
		k.wantRunning(key, want, want, want)
	}
	for id, own := range k.s.shot().BrokerConfigs {
		if len(own) > 0 {
			t.Errorf("broker %d keeps %v of its own", id, own)
		}
	}
}

func TestThreadPoolsGoUpAndDownByDoublesAndHalves(t *testing.T) {
	k := newRunTime(t)
	for _, want := range []string{"40", "2", "1", "9"} {
		k.s.c.DynamicConfig["num.io.threads"] = want
		k.arrive()
		k.wantRunning("num.io.threads", want, want, want)
	}
	delete(k.s.c.DynamicConfig, "num.io.threads")
	k.arrive()
	k.wantRunning("num.io.threads", "8", "8", "8")
	k.s.c.DynamicConfig["num.io.threads"] = "100"
	k.arrive()
	delete(k.s.c.DynamicConfig, "num.io.threads")
	k.arrive()
	k.wantRunning("num.io.threads", "8", "8", "8")
}

func TestAPoolsThreadsAndThoseOfTheOthersGoTheirOwnWays(t *testing.T) {
	k := newRunTime(t)
	k.s.c.DynamicConfig["num.io.threads"] = "4"
	k.s.c.Pools[0].DynamicConfig = map[string]string{"num.io.threads": "64"}
	k.arrive()
	k.wantRunning("num.io.threads", "64", "64", "64")
	k.s.c.Pools[0].DynamicConfig = nil
	k.arrive()
	k.wantRunning("num.io.threads", "4", "4", "4")
}

func TestABrokerThatCouldNotFollowIsLedThere(t *testing.T) {
	k := newRunTime(t)
	k.s.c.DynamicConfig["num.io.threads"] = "8"
	k.s.shot().Config["num.io.threads"] = "8"
	k.running[1]["num.io.threads"] = "1" // it was started with another file
	k.arrive()
	k.wantRunning("num.io.threads", "8", "8", "8")
}

func TestSomebodyElsesThreadsOnOneBrokerAreTakenBack(t *testing.T) {
	k := newRunTime(t)
	k.s.c.DynamicConfig["num.io.threads"] = "8"
	k.arrive()
	k.s.shot().BrokerConfigs[2]["num.io.threads"] = "100"
	k.running[2]["num.io.threads"] = "100"
	k.arrive()
	k.wantRunning("num.io.threads", "8", "8", "8")
}

func TestThreadsThatTheUserLeavesToOthersAreLeftAlone(t *testing.T) {
	k := newRunTime(t)
	k.s.c.UnmanagedConfig = map[string]bool{"num.io.threads": true}
	k.s.shot().BrokerConfigs[2]["num.io.threads"] = "100"
	if k.arrive() != 0 {
		t.Error("it is configured")
	}
}

func TestARefusedKeyIsForItselfAndMinISRGoesFirst(t *testing.T) {
	k := newRunTime(t)
	maps.Copy(k.s.c.DynamicConfig, map[string]string{
		"min.insync.replicas": "1", "num.io.threads": "-3", "background.threads": "11", "message.max.bytes": "2",
		"compression.type": "zstd",
	})
	var lines []string
	for _, step := range k.s.next().Steps {
		if step.Kind == AlterConfig {
			lines = append(lines, strings.TrimPrefix(step.does(), "configure all brokers: "))
		}
	}
	want := []string{
		"set min.insync.replicas", "set compression.type, set message.max.bytes", "set background.threads",
		"set num.io.threads",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}

func TestAStepThatIsRefusedFallsApartIntoItsKeys(t *testing.T) {
	one, two := "1", "2"
	step := Step{Kind: AlterConfig, Node: kafka.AllBrokers,
		Changes: []kafka.ConfigChange{{Key: "a", Value: &one}, {Key: "b", Value: &two}}}
	parts := step.Apart()
	if len(parts) != 2 || AlterConfig.Row().Request.Field(parts[1]) != "spec.config[b]" || parts[0].Apart() != nil {
		t.Errorf("%v", parts)
	}
	if (Step{Kind: Restart}).Apart() != nil {
		t.Error("a restart falls apart")
	}
}

func TestABrokerThatDoesNotUseWhatIsSetIsWaitedFor(t *testing.T) {
	k := newRunTime(t)
	k.s.c.DynamicConfig["compression.type"] = "zstd"
	k.s.shot().Config["compression.type"] = "zstd"
	k.running[0]["compression.type"], k.running[2]["compression.type"] = "zstd", "zstd"
	k.running[1]["compression.type"] = "producer"
	p := k.s.next()
	if want := "broker 1 does not use the value of the spec yet for compression.type"; p.Empty() ||
		!strings.HasPrefix(p.Waiting[0], want) {
		t.Errorf("%v", p.Waiting)
	}
}

func TestAValueIsNotTakenForASecretBecauseItIsEmpty(t *testing.T) {
	k := newRunTime(t)
	k.s.c.DynamicConfig["max.connections.per.ip.overrides"] = "127.0.0.1:2"
	k.s.shot().Config["max.connections.per.ip.overrides"] = ""
	k.arrive()
	k.wantRunning("max.connections.per.ip.overrides", "127.0.0.1:2", "127.0.0.1:2", "127.0.0.1:2")
}

func TestSomebodyElsesValueOnOneBrokerIsTakenAwayWhateverItsKey(t *testing.T) {
	v, _ := version.Find("4.3.1")
	checked := 0
	for _, key := range v.RunTimeKeys() {
		for _, inSpec := range []bool{true, false} {
			k := newRunTime(t)
			own := k.s.shot().BrokerConfigs[1]
			own[key], k.running[1][key] = "7", "7"
			if inSpec && key != "min.insync.replicas" && !version.Foreign(key) {
				k.s.c.DynamicConfig[key], k.s.shot().Config[key] = "5", "5"
			}
			left := version.Foreign(key)
			for pass := 0; pass < 5 && !left && len(k.s.shot().BrokerConfigs[1]) > 0; pass++ {
				for _, step := range k.s.next().Steps {
					if step.Kind == AlterConfig {
						k.carryOut(step)
					}
				}
			}
			if _, still := k.s.shot().BrokerConfigs[1][key]; still != left {
				t.Errorf("%s (in the spec: %t): it is still there: %t", key, inSpec, still)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("only %d run-time keys", checked)
	}
}

func TestValuesAreSetWithoutTheBlanksAroundThem(t *testing.T) {
	const key = "group.consumer.assignment.interval.ms" // of which a broker of 4.3.1 cannot bear them
	k := newRunTime(t)
	k.s.c.DynamicConfig[key], k.s.shot().Config[key] = " 1000", " 1000" // as an older operator has set it
	k.arrive()
	k.wantRunning(key, "1000", "1000", "1000")
}
