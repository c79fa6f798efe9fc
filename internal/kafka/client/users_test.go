package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
)

func TestScramCredentialsComeAndGo(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	results, err := c.AlterScramCredentials(ctx, []kafka.ScramUpsert{
		{User: "carol", Mechanism: "SCRAM-SHA-256", Iterations: 4096, Password: "one"},
		{User: "carol", Mechanism: "SCRAM-SHA-512", Iterations: 8192, Password: "one"},
		{User: "dave", Mechanism: "SCRAM-SHA-512", Iterations: 4096, Password: "two"},
		{User: "weak", Mechanism: "SCRAM-SHA-512", Iterations: 1, Password: "three"},
	}, nil)
	cost(t, counter, "AlterUserScramCredentials", 2) // carol has two mechanisms, and Kafka takes one at a time
	if err != nil || results["carol"] != nil || results["dave"] != nil {
		t.Fatal(err, results)
	}
	refused(t, results["weak"], "UNACCEPTABLE_CREDENTIAL")
	carol := []kafka.ScramCredential{
		{Mechanism: "SCRAM-SHA-256", Iterations: 4096}, {Mechanism: "SCRAM-SHA-512", Iterations: 8192},
	}
	eventually(t, "credentials", func() error {
		all, err := c.ScramCredentials(ctx, nil)
		some, err2 := c.ScramCredentials(ctx, []string{"carol", "nobody"})
		if !reflect.DeepEqual(all["carol"], carol) || len(all["dave"]) != 1 ||
			!reflect.DeepEqual(some, map[string][]kafka.ScramCredential{"carol": carol}) {
			return fmt.Errorf("all %v (%v), some %v (%v)", all, err, some, err2)
		}
		return nil
	})
	counter.take()
	if none, err := c.ScramCredentials(ctx, []string{}); err != nil || len(none) != 0 {
		t.Errorf("nobody asked for: %v, %v", none, err)
	}
	cost(t, counter, "an empty question", 0)

	// One of the two never was there, and the second time neither is.
	both := []kafka.ScramDeletion{
		{User: "dave", Mechanism: "SCRAM-SHA-256"}, {User: "dave", Mechanism: "SCRAM-SHA-512"},
	}
	for range 2 {
		if results, err := c.AlterScramCredentials(ctx, nil, both); err != nil || results["dave"] != nil {
			t.Fatal(err, results)
		}
		eventually(t, "dave is gone", func() error {
			if left, err := c.ScramCredentials(ctx, []string{"dave"}); err != nil || len(left) != 0 {
				return fmt.Errorf("%v (%v)", left, err)
			}
			return nil
		})
	}
}

func TestACLsAreDeletedExactly(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	on := func(kind, name, pattern, operation string) kafka.ACL {
		return allow("User:carol", operation, kind, name, pattern)
	}
	acls := []kafka.ACL{
		on("Topic", "orders", "Literal", "Read"), on("Topic", "orders", "Prefixed", "Read"),
		on("Topic", "*", "Literal", "Describe"),
		on("Group", "g", "Prefixed", "Read"), on("Cluster", "kafka-cluster", "Literal", "IdempotentWrite"),
		on("TransactionalId", "t", "Literal", "TwoPhaseCommit"), on("DelegationToken", "d", "Literal", "Describe"),
		on("User", "User:carol", "Literal", "CreateTokens"),
	}
	for _, operation := range []string{
		"Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs", "All",
	} {
		acls = append(acls, on("Topic", "orders", "Literal", operation))
	}
	wrong := on("Topics", "orders", "Literal", "Read")
	results, err := c.CreateACLs(ctx, append(slices.Clone(acls), wrong))
	cost(t, counter, "CreateAcls", 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range acls {
		if results[i] != nil {
			t.Fatalf("%+v: %v", acls[i], results[i])
		}
	}
	refused(t, results[len(acls)], "INVALID_REQUEST")
	sameACLs(t, c, acls)

	counter.take()
	gone := on("Topic", "never", "Literal", "Read")
	if results, err := c.DeleteACLs(ctx, []kafka.ACL{acls[0], gone}); errors.Join(append(results, err)...) != nil {
		t.Fatal(err, results)
	}
	cost(t, counter, "DeleteAcls", 1)
	sameACLs(t, c, acls[1:]) // the prefixed one of the same name and the wildcard are still there
	if _, err := c.DeleteACLs(ctx, acls); err != nil {
		t.Fatal(err)
	}
	sameACLs(t, c, nil)
}

func TestFewPrincipalsAreAskedForOneByOneAndGoWithOneFilterEach(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	var acls []kafka.ACL
	var names []string
	for n := range 10 {
		names = append(names, fmt.Sprintf("User:few-%d", n))
		for _, operation := range []string{"Read", "Write", "Describe"} {
			acls = append(acls, allow(names[n], operation, "Topic", "few", "Literal"))
		}
		deny := allow(names[n], "Delete", "Group", "few", "Prefixed")
		deny.Permission = "Deny"
		acls = append(acls, deny)
	}
	if results, err := c.CreateACLs(ctx, acls); errors.Join(append(results, err)...) != nil {
		t.Fatal(err, results)
	}
	sameACLs(t, c, acls)
	for _, count := range []int{0, 1, 8, 9, 10} {
		counter.take()
		got, err := c.ACLs(ctx, names[:count])
		if err != nil || len(got) != 4*count {
			t.Errorf("%d principals: %d ACLs (%v)", count, len(got), err)
		}
		cost(t, counter, "DescribeAcls", map[int]int{0: 0, 1: 1, 8: 8, 9: 1, 10: 1}[count])
		quotas, err := c.Quotas(ctx, names[:count])
		if err != nil || len(quotas) != 0 {
			t.Errorf("%d users: %v (%v)", count, quotas, err)
		}
		cost(t, counter, "DescribeClientQuotas", map[int]int{0: 0, 1: 1, 8: 8, 9: 1, 10: 1}[count])
	}
	var of []kafka.ACLsOf
	for _, name := range names[1:] {
		of = append(of, kafka.ACLsOf{Principal: name, Permission: "Allow", Count: 3})
	}
	counter.take()
	if results, err := c.DeleteACLsOf(ctx, of); errors.Join(append(results, err)...) != nil || len(results) != 9 {
		t.Fatal(err, results)
	}
	cost(t, counter, "DeleteAcls", 1)
	left := slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool {
		return a.Permission == "Allow" && a.Principal != names[0]
	})
	sameACLs(t, c, left)
	if results, err := c.DeleteACLs(ctx, left); errors.Join(append(results, err)...) != nil {
		t.Fatal(err, results)
	}
	sameACLs(t, c, nil)
}

func TestADeletionGivesTheControllerNoMoreThanAMomentsWork(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	var acls []kafka.ACL
	for n := range 900 {
		acls = append(acls, allow(fmt.Sprintf("User:cheap-%d", n), "Read", "Topic", "cheap", "Literal"))
	}
	if results, err := c.CreateACLs(ctx, acls); errors.Join(append(results, err)...) != nil {
		t.Fatal(err, results)
	}
	sameACLs(t, c, acls)
	client.Believe(c, 10_000) // as if the cluster had so many
	counter.take()
	if results, err := c.DeleteACLs(ctx, acls); errors.Join(append(results, err)...) != nil {
		t.Fatal(err, results)
	}
	cost(t, counter, "DeleteAcls", 5) // 200 filters, each compared with 10,000
	sameACLs(t, c, nil)
}

func sameACLs(t *testing.T, c *client.Client, want []kafka.ACL) {
	t.Helper()
	sorted := func(acls []kafka.ACL) []string {
		var lines []string
		for _, a := range acls {
			lines = append(lines, fmt.Sprintf("%+v", a))
		}
		slices.Sort(lines)
		return lines
	}
	eventually(t, "ACLs", func() error {
		got, err := c.ACLs(t.Context(), nil)
		if err != nil || !slices.Equal(sorted(got), sorted(want)) {
			return fmt.Errorf("%v (%v), want %v", sorted(got), err, sorted(want))
		}
		return nil
	})
}

func TestQuotasAreThoseOfOneUserOrOfAll(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	foreignQuotas(t)
	counter.take()
	noErrors(t)(c.AlterQuotas(ctx, map[string]map[string]*float64{
		"carol": {"producer_byte_rate": ptr(1048576.0), "request_percentage": ptr(12.5)},
		"dave":  {"consumer_byte_rate": ptr(1.0)},
	}))
	cost(t, counter, "AlterClientQuotas", 1)
	want := map[string]map[string]float64{
		"carol": {"producer_byte_rate": 1048576, "request_percentage": 12.5}, "dave": {"consumer_byte_rate": 1},
		kafka.DefaultUser: {"producer_byte_rate": 9},
	}
	sameQuotas := func() {
		t.Helper()
		eventually(t, "quotas", func() error {
			if got, err := c.Quotas(ctx, nil); err != nil || !reflect.DeepEqual(got, want) {
				return fmt.Errorf("%v (%v), want %v", got, err, want)
			}
			return nil
		})
	}
	sameQuotas()
	noErrors(t)(c.AlterQuotas(ctx, map[string]map[string]*float64{
		"carol": {"request_percentage": nil}, "dave": {"consumer_byte_rate": nil},
		kafka.DefaultUser: {"producer_byte_rate": nil, "consumer_byte_rate": ptr(5.0)},
	}))
	want = map[string]map[string]float64{"carol": {"producer_byte_rate": 1048576},
		kafka.DefaultUser: {"consumer_byte_rate": 5}}
	sameQuotas()
	noErrors(t)(c.AlterQuotas(ctx, map[string]map[string]*float64{kafka.DefaultUser: {"consumer_byte_rate": nil}}))
	delete(want, kafka.DefaultUser)
	sameQuotas()
	results, err := c.AlterQuotas(ctx, map[string]map[string]*float64{"carol": {"no_such_quota": ptr(1.0)}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, results["carol"], "INVALID_REQUEST")
}

// foreignQuotas sets what the client must not show, a user with a client id and a client id, and the default user's.
func foreignQuotas(t *testing.T) {
	t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(cluster.Admins()...))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	x := kadm.ClientQuotaEntityComponent{Type: "client-id", Name: ptr("x")}
	rate := []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 9}}
	altered, err := kadm.NewClient(raw).AlterClientQuotas(t.Context(), []kadm.AlterClientQuotaEntry{
		{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: ptr("carol")}, x}, Ops: rate},
		{Entity: kadm.ClientQuotaEntity{x}, Ops: rate},
		{Entity: kadm.ClientQuotaEntity{{Type: "user"}}, Ops: rate},
	})
	if err != nil || len(altered) != 3 {
		t.Fatal(err, altered)
	}
	for _, a := range altered {
		if a.Err != nil {
			t.Fatalf("quota of %s: %v", a.Entity, a.Err)
		}
	}
}

func TestTryLoginTellsRefusedFromUnknown(t *testing.T) {
	c, _ := connect(t)
	const password = "s3cret-of-erin"
	if results, err := c.AlterScramCredentials(t.Context(), []kafka.ScramUpsert{
		{User: "erin", Mechanism: "SCRAM-SHA-256", Iterations: 4096, Password: password},
		{User: "erin", Mechanism: "SCRAM-SHA-512", Iterations: 4096, Password: password},
	}, nil); err != nil || results["erin"] != nil {
		t.Fatal(err, results)
	}
	node := cluster.Nodes[0]
	otherCA := []byte(strings.Replace(string(cluster.CA.PEM), "BEGIN", "BEGUN", 1))
	login := func(mechanism, user, password string) kafka.Login {
		return kafka.Login{Address: node.Clients, Mechanism: mechanism, Username: user, Password: password}
	}
	secure := func(l kafka.Login, name string, ca []byte) kafka.Login {
		l.Address, l.ServerName, l.CA = node.Secure, name, ca
		return l
	}
	// Brokers learn of credentials a little later.
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		eventually(t, mechanism, func() error {
			return client.Prober{}.TryLogin(t.Context(), login(mechanism, "erin", password))
		})
	}
	bob := login("PLAIN", "bob", plainPassword)
	bobAt := func(address string) kafka.Login {
		bob := bob
		bob.Address = address
		return bob
	}
	wrong := login("SCRAM-SHA-512", "erin", "wr0ng-guess")
	const ok, refused, unknown = "logs in", "is refused", "is not known"
	for name, test := range map[string]struct {
		login kafka.Login
		want  string
	}{
		"PLAIN right":             {bob, ok},
		"PLAIN wrong":             {login("PLAIN", "bob", "wr0ng-guess"), refused},
		"PLAIN unknown user":      {login("PLAIN", "nobody", "wr0ng-guess"), refused},
		"SCRAM-256 right":         {login("SCRAM-SHA-256", "erin", password), ok},
		"SCRAM-256 wrong":         {login("SCRAM-SHA-256", "erin", "wr0ng-guess"), refused},
		"SCRAM-256 unknown user":  {login("SCRAM-SHA-256", "nobody", "wr0ng-guess"), refused},
		"SCRAM-512 right":         {login("SCRAM-SHA-512", "erin", password), ok},
		"SCRAM-512 wrong":         {wrong, refused},
		"SCRAM-512 unknown user":  {login("SCRAM-SHA-512", "nobody", "wr0ng-guess"), refused},
		"TLS right":               {secure(bob, "localhost", cluster.CA.PEM), ok},
		"TLS wrong password":      {secure(wrong, "localhost", cluster.CA.PEM), refused},
		"TLS another server name": {secure(bob, "example.com", cluster.CA.PEM), unknown},
		"TLS without a CA":        {secure(bob, "localhost", otherCA), unknown},
		"TLS listener, plain":     {bobAt(node.Secure), unknown},
		"mechanism not offered":   {login("GSSAPI", "bob", plainPassword), unknown},
		"listener without SASL":   {bobAt(node.Admin), unknown},
		"nobody listens":          {bobAt("127.0.0.1:1"), unknown},
		"no such host":            {bobAt("none.invalid:9"), unknown},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			err := client.Prober{}.TryLogin(t.Context(), test.login)
			got := unknown
			if err == nil {
				got = ok
			} else if errors.Is(err, kafka.ErrAuthenticationFailed) {
				got = refused
			}
			t.Logf("%s in %s: %v", got, time.Since(began).Round(time.Millisecond), err)
			if got != test.want {
				t.Errorf("login %s, want %s: %v", got, test.want, err)
			}
			text := fmt.Sprint(err)
			if strings.Contains(text, plainPassword) || strings.Contains(text, "wr0ng-guess") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestTryLoginEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by the kernel's backlog and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = client.Prober{}.TryLogin(ctx, kafka.Login{
		Address: silent.Addr().String(), Mechanism: "PLAIN", Username: "a", Password: "b",
	})
	if err == nil || errors.Is(err, kafka.ErrAuthenticationFailed) || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
