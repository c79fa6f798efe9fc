// Package probe is the subcommand with which people look from where their client is: castellan probe. It goes the way
// of a client to the servers where it begins, and to every broker that these tell of, and says which step fails and
// what to do. It needs no Kubernetes. Where there is TLS, a login is sent only to whom a certificate has proven. It is
// shown to nobody.
package probe

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/reach/dial"
)

// Name is that of the subcommand.
const Name = "probe"

// atOnce is how many ways are walked side by side.
const atOnce = 8

const usage = `castellan probe looks at the way from here to every broker, as a client goes it.

  castellan probe --config librdkafka.json       the file of a user's Secret, or its client.properties
  castellan probe --bootstrap-server kafka.example.com:9094 --ca ca.crt

The exit code is 0 if every broker is reached, and 1 if not.
`

// options are the flags.
type options struct {
	config, servers, ca string
	tls, clearText      bool
	timeout             time.Duration
}

// Main runs the subcommand, and returns the exit code.
func Main(ctx context.Context, args []string, out, faults io.Writer) int {
	return run(ctx, args, out, faults, dial.Net{})
}

func run(ctx context.Context, args []string, out, faults io.Writer, through dial.Net) int {
	var o options
	flags := flag.NewFlagSet(Name, flag.ContinueOnError)
	flags.SetOutput(faults)
	flags.Usage = func() { _, _ = fmt.Fprint(faults, usage); flags.PrintDefaults() }
	o.bind(flags)
	if err := flags.Parse(args); err != nil {
		return 1
	}
	target, err := o.target(flags.NArg())
	if err != nil {
		_, _ = fmt.Fprintln(faults, "castellan probe:", err)
		return 1
	}
	through.Timeout = o.timeout
	p := &prober{target: target, through: through}
	verdict, ok := p.everything(ctx)
	p.print(out)
	_, _ = fmt.Fprintln(out, "\n"+verdict)
	if !ok {
		return 1
	}
	return 0
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.config, "config", "",
		"file with the settings of the client: librdkafka's, or Java's if it ends in .properties, or JSON if in .json")
	flags.StringVar(&o.servers, "bootstrap-server", "",
		"where the client begins, host:port, separated by commas; instead of the file's")
	flags.StringVar(&o.ca, "ca", "", "file with the certificates that are trusted, as PEM; instead of the file's")
	flags.BoolVar(&o.tls, "tls", false,
		"speak TLS, and without --ca trust what this machine trusts; instead of what the file says")
	flags.BoolVar(&o.clearText, "allow-clear-text-password", false,
		"let PLAIN send the password over a connection without TLS")
	flags.DurationVar(&o.timeout, "timeout", dial.StepTimeout, "how long each step may take")
}

func (o *options) target(more int) (target, error) {
	if more > 0 || o.config == "" && o.servers == "" {
		return target{}, errors.New("name --config or --bootstrap-server; castellan probe -h shows how")
	}
	t := target{anyLogin: true}
	if o.config != "" {
		text, err := os.ReadFile(o.config)
		if err != nil {
			return t, err
		}
		if t, err = readConfig(o.config, string(text), os.ReadFile); err != nil {
			return t, fmt.Errorf("%s: %w", o.config, err)
		}
	}
	if o.servers != "" {
		var err error
		if t.servers, err = servers(o.servers); err != nil {
			return t, fmt.Errorf("--bootstrap-server: %w", err)
		}
	}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			return t, err
		}
		o.tls, t.ca = true, string(text)
	}
	t.tls = t.tls || o.tls
	if t.tls && t.ca != "" && pki.CertificatesOnly([]byte(t.ca)) == nil {
		return t, errors.New("the authority that is to be trusted holds no PEM certificate")
	}
	if t.login != nil {
		t.login.ClearText = o.clearText
	}
	return t, nil
}

// prober is one look at a cluster.
type prober struct {
	target
	through dial.Net
	rows    []row
}

// row is one way.
type row struct {
	way     reach.Way
	finding reach.Finding
	told    dial.Told
}

func (r row) name() string {
	if r.way.Node == reach.AnyNode {
		return "bootstrap"
	}
	return fmt.Sprint(r.way.Node)
}

// everything looks at where a client begins, and then at every broker. It returns what is to be said last.
func (p *prober) everything(ctx context.Context) (verdict string, ok bool) {
	var begin []reach.Way
	for _, s := range p.servers {
		begin = append(begin, p.way(reach.AnyNode, s))
	}
	p.rows = p.walk(ctx, begin)
	answered := slices.IndexFunc(p.rows, func(r row) bool { return len(r.told.Brokers) > 0 })
	if answered >= 0 {
		told := p.rows[answered].told
		var brokers []reach.Way
		for _, id := range slices.Sorted(maps.Keys(told.Brokers)) {
			way := p.way(id, server{told.Brokers[id].Host, told.Brokers[id].Port})
			way.ClusterID = told.Cluster
			brokers = append(brokers, way)
		}
		p.rows = append(p.rows, p.walk(ctx, brokers)...)
	}
	if verdict := p.failures(); verdict != "" {
		return verdict, false
	}
	if answered < 0 {
		return fmt.Sprintf("Nobody tells of the brokers without a login: the listener offers %s. Look again with --config "+
			"and the file of a user's Secret.", strings.Join(p.rows[0].told.Mechanisms, ", ")), false
	}
	return fmt.Sprintf("Every broker is reached (%d).", len(p.rows[answered].told.Brokers)), true
}

func (p *prober) way(node int32, at server) reach.Way {
	way := reach.Way{Node: node, Host: at.host, Port: at.port, TLS: p.tls, Anchors: p.ca, AnyLogin: p.anyLogin}
	if p.login != nil {
		way.Mechanisms = []string{p.login.Mechanism}
	}
	return way
}

func (p *prober) walk(ctx context.Context, ways []reach.Way) []row {
	rows := make([]row, len(ways))
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, way := range ways {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			rows[i].way = way
			rows[i].finding, rows[i].told = p.through.TryAs(ctx, way, p.login)
		})
	}
	all.Wait()
	return rows
}

// failures is the first failure in a sentence, and how many more there are; empty = there is none.
func (p *prober) failures() string {
	var failed []row
	for _, r := range p.rows {
		if !r.finding.OK() {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 {
		return ""
	}
	name := failed[0].name()
	if failed[0].way.Node != reach.AnyNode {
		name = "broker " + name
	}
	failure := failed[0].finding.Failure
	text := fmt.Sprintf("The way to %s at %s fails (%s): %s.", name, failed[0].way.Address(), failure.Step, failure)
	if len(failed) > 1 {
		text += fmt.Sprintf(" %d more fail.", len(failed)-1)
	}
	return text
}

var words = map[reach.Outcome]string{reach.NotTried: "-", reach.Passed: "yes", reach.Failed: "NO", reach.NotProven: "?"}

// print writes a line for each way, with a column for each step.
func (p *prober) print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := []string{"BROKER", "ADDRESS"}
	for _, step := range reach.Steps {
		head = append(head, strings.ToUpper(step.Title))
	}
	_, _ = fmt.Fprintln(table, strings.Join(head, "\t"))
	for _, r := range p.rows {
		cells := []string{r.name(), r.way.Address()}
		for _, outcome := range r.finding.Steps {
			cells = append(cells, words[outcome])
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	_ = table.Flush()
}
