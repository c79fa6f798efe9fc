package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/version"
)

// The tables of the catalogue are made from Kafka's classes; here a node of every version is asked.
func TestTheCatalogueSaysWhatBrokersSay(t *testing.T) {
	needKafka(t)
	for _, v := range version.Catalogue {
		t.Run(v.Kafka, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
			defer cancel()
			options := withPlainHandler(t)
			options.Version = v.Kafka
			k, err := kafkatest.Start(ctx, options)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			c, _ := connectTo(t, k)
			s, err := c.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			latest, _ := v.MetadataLevel(version.AutoMetadata)
			if s.MetadataVersion != latest || s.Features["kraft.version"] != 1 {
				t.Errorf("a fresh cluster has %v, want metadata.version %d", s.Features, latest)
			}
			supported, err := client.SupportedFeatures(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			checkSupported(t, v, supported)
			// A key whose place changed between the versions: it is set at run time in all of them.
			const throttle = "leader.replication.throttled.rate"
			err = c.AlterBrokerConfig(ctx, kafka.AllBrokers, []kafka.ConfigChange{{Key: throttle, Value: ptr("1000")}})
			if scope := v.Scope(throttle); scope != version.AtRunTime || err != nil {
				t.Errorf("%s is said to be %s, and Kafka's answer is %v", throttle, scope, err)
			}
			checkPlain(ctx, t, k.Nodes[0].Clients)
		})
	}
}

// features are all that the versions of the catalogue have.
var features = []string{"eligible.leader.replicas.version", "group.version", "kraft.version", "metadata.version",
	"share.version", "streams.version", "transaction.version"}

func checkSupported(t *testing.T, v version.Version, supported map[string][2]int16) {
	t.Helper()
	told := 0
	for _, name := range features {
		levels, known := supported[name]
		if known {
			told++
		}
		for level := range int16(40) {
			want := level >= levels[0] && level <= levels[1] // of a feature that it does not have, only 0: off
			if got := v.Supports(name, level); got != want {
				t.Errorf("%s %d is supported: %t, the broker says %v", name, level, got, levels)
			}
		}
	}
	if told != len(supported) {
		t.Errorf("the broker has features that this test does not know: %v", supported)
	}
}

// withPlainHandler puts the operator's own handler behind PLAIN on the listener of the clients.
func withPlainHandler(t *testing.T) kafkatest.Options {
	t.Helper()
	dir := t.TempDir()
	jar, users := filepath.Join(dir, plainauth.JarName), filepath.Join(dir, "users")
	entry, err := plainauth.Hash("alice", plainPassword, []byte("sixteen bytes ok"), plainauth.MinIterations)
	if err == nil {
		err = errors.Join(os.WriteFile(jar, plainauth.Jar(), 0o600),
			os.WriteFile(users, plainauth.UsersFile([]plainauth.Entry{entry}), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "listener.name.clients.plain.sasl."
	return kafkatest.Options{Jars: []string{jar}, Config: map[string]string{
		prefix + "jaas.config":                   plainauth.JaasConfig(users),
		prefix + "server.callback.handler.class": plainauth.HandlerClass,
	}}
}

func checkPlain(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	login := kafka.Login{Address: address, Mechanism: "PLAIN", Username: "alice", Password: plainPassword}
	if err := (client.Prober{}).TryLogin(ctx, login); err != nil {
		t.Error(err)
	}
	login.Password = "wrong"
	if err := (client.Prober{}).TryLogin(ctx, login); !errors.Is(err, kafka.ErrAuthenticationFailed) {
		t.Errorf("a wrong password is answered with %v", err)
	}
}
