package render

import (
	"regexp"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/resolve"
)

// withLogins has Kerberos at one listener, and a directory behind PLAIN at another.
const withLogins = `
version: "4.3.1"
pools:
- {name: control, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}}
- {name: main, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}}
listeners:
- name: kerberos
  port: 9092
  authentication:
    mechanisms: [Custom, SCRAM-SHA-512]
    custom: {mechanism: GSSAPI, secret: {name: kerberos}}
- name: ldap
  port: 9094
  authentication:
    mechanisms: [Custom]
    custom:
      mechanism: PLAIN
      callbackHandlerClass: com.example.Ldap$Handler
      secret: {name: ldap}
      principalPrefix: "ldap:"
`

// loggedIn is the cluster once the files of its mechanisms are there.
func loggedIn(c *model.Cluster) *model.Cluster {
	for i := range c.Listeners {
		if c.Listeners[i].Custom != nil {
			c.Listeners[i].Login = model.Login{Revision: "first-" + c.Listeners[i].Name,
				Kerberos: c.Listeners[i].Name == "kerberos", ByNode: c.Listeners[i].Name == "kerberos"}
		}
	}
	return c
}

func TestLoginsGolden(t *testing.T) {
	compareGolden(t, "logins", printAll(t, loggedIn(cluster(t, "logins", withLogins))))
}

func TestWhatOfACustomMechanismRestartsBrokers(t *testing.T) {
	custom := func(change func(c *v1alpha1.ListenerCustom)) func(in *resolve.Inputs) {
		return func(in *resolve.Inputs) { change(in.Spec.Listeners[0].Authentication.Custom) }
	}
	for name, c := range map[string]struct {
		change  func(in *resolve.Inputs)
		files   string
		restart bool
	}{
		"another Secret with the same files": {custom(func(c *v1alpha1.ListenerCustom) { c.Secret.Name = "other" }), "first-kerberos", false},
		"the default spelled out":            {custom(func(c *v1alpha1.ListenerCustom) { c.PrincipalPrefix = ptr("custom:") }), "first-kerberos", false},
		"other files":                        {func(*resolve.Inputs) {}, "second", true},
		"another prefix":                     {custom(func(c *v1alpha1.ListenerCustom) { c.PrincipalPrefix = ptr("krb:") }), "first-kerberos", true},
		"another class":                      {custom(func(c *v1alpha1.ListenerCustom) { c.CallbackHandlerClass = "a.B" }), "first-kerberos", true},
		"another mechanism":                  {custom(func(c *v1alpha1.ListenerCustom) { c.Mechanism = "OTHER" }), "first-kerberos", true},
	} {
		in := inputs(t, "logins", withLogins)
		before := desired(loggedIn(resolved(t, in)))
		c.change(&in)
		cluster := loggedIn(resolved(t, in))
		cluster.Listeners[0].Login.Revision = c.files
		after := desired(cluster)
		if got := before.Files[1000].User != after.Files[1000].User; got != c.restart {
			t.Errorf("%s restarts brokers: %t, want %t", name, got, c.restart)
		}
		// Files are staged by this: a broker that restarts and comes back as it was would restart for ever.
		if before.Files[1000].Whole == after.Files[1000].Whole && c.restart {
			t.Errorf("%s restarts brokers, which come back on the files from before", name)
		}
		if before.Templates["main"].User != after.Templates["main"].User {
			t.Errorf("%s is another template", name)
		}
		if before.Files[0] != after.Files[0] {
			t.Errorf("%s changes something of a controller", name)
		}
	}
}

// Whatever a user writes: the one variable in a node's file is that of a line of JAAS.
func TestTheOnlyVariablesAreThoseOfJaas(t *testing.T) {
	variable := regexp.MustCompile(`^listener\.name\.[a-z0-9]+\.[a-z0-9_-]+\.sasl\.jaas\.config=` +
		`\$\{castellan:/etc/castellan/login:([0-9]+\.)?[a-z0-9]+\.jaas\.conf\}$`)
	c, found := loggedIn(cluster(t, "logins", withLogins)), 0
	for id, node := range Nodes(c) {
		for line := range strings.Lines(node.Data[fileProperties]) {
			if line = strings.TrimSpace(line); strings.Contains(line, "${") {
				if found++; !variable.MatchString(line) {
					t.Errorf("node %d: %s", id, line)
				}
			}
		}
		if id == 0 && strings.Contains(node.Data[fileProperties]+node.Data[fileJVM], "provider") {
			t.Error("a controller, to which no client comes, reads files of logins")
		}
	}
	if found != 2 {
		t.Errorf("%d variables", found)
	}
}
